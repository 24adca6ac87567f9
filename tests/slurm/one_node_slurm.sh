#!/usr/bin/env bash
# A real SLURM with one node, this machine, for trying things out and for the tests. No systemd, no accounting.
#
#   tests/slurm/one_node_slurm.sh start FOLDER    then: export SLURM_CONF=FOLDER/slurm.conf
#   tests/slurm/one_node_slurm.sh stop FOLDER
#
# Needs root and the Debian packages slurmctld, slurmd, slurm-client and munge. Jobs in partition "work" (the default)
# give way to jobs in partition "urgent" and are requeued. With PREEMPT_SIGNAL=TERM, a job that has to give way is only
# sent SIGTERM; otherwise it is sent the signal that it asked for with --signal. GRACE seconds later it is killed.
# PORT and the one above it are SLURM's; without it, they are drawn by lot.
set -euo pipefail

action="$1" folder="$(realpath -m "$2")"
host="$(hostname -s)" port="${PORT:-$((20000 + RANDOM % 20000))}"

write_configuration() {
    local user_signal="preempt_send_user_signal"
    [ "${PREEMPT_SIGNAL:-}" = TERM ] && user_signal=""
    local memory=$(( $(awk '/MemTotal/ {print int($2 / 1024)}' /proc/meminfo) - 512 ))
    cat > "$folder/slurm.conf" <<CONF
ClusterName=onenode
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$port
SlurmdPort=$((port + 1))
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge/socket
CryptoType=crypto/munge
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0
SlurmctldParameters=$user_signal
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
KillWait=20
ReturnToService=2
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc --all) RealMemory=$memory State=UNKNOWN
PartitionName=work Nodes=$host Default=YES PriorityTier=1 GraceTime=${GRACE:-20} MaxTime=INFINITE State=UP
PartitionName=urgent Nodes=$host PriorityTier=10 PreemptMode=OFF MaxTime=INFINITE State=UP
CONF
}

start_munge() {
    # Its folder may be written by its own user only, and its parents by root only.
    install -d -o munge -g munge -m 755 "$folder/munge"
    dd if=/dev/urandom of="$folder/munge/key" bs=128 count=1 status=none
    chown munge:munge "$folder/munge/key" && chmod 400 "$folder/munge/key"
    runuser -u munge -- /usr/sbin/munged --force --key-file="$folder/munge/key" --socket="$folder/munge/socket" \
        --pid-file="$folder/munge/pid" --log-file="$folder/munge/log" --seed-file="$folder/munge/seed"
}

start() {
    mkdir -p "$folder"/{state,spool}
    write_configuration
    start_munge
    export SLURM_CONF="$folder/slurm.conf"
    slurmctld -f "$SLURM_CONF"
    slurmd -f "$SLURM_CONF"
    for _ in $(seq 60); do
        [ "$(sinfo --noheader --partition=work --format=%T 2>/dev/null)" = idle ] && exit 0
        sleep 0.5
    done
    echo "no idle node after 30 seconds; see $folder/slurmctld.log and $folder/slurmd.log" >&2
    exit 1
}

stop() {
    export SLURM_CONF="$folder/slurm.conf"
    scancel --quiet --user=root 2>/dev/null || true
    for _ in $(seq 20); do
        [ -z "$(squeue --noheader 2>/dev/null)" ] && break
        scancel --quiet --signal=KILL --full --user=root 2>/dev/null || true
        sleep 0.5
    done
    for pid_file in slurmd.pid slurmctld.pid munge/pid; do
        [ -s "$folder/$pid_file" ] || continue
        pid="$(cat "$folder/$pid_file")"
        kill "$pid" 2>/dev/null || true
        # They write their state while they end.
        for _ in $(seq 40); do kill -0 "$pid" 2>/dev/null || break; sleep 0.5; done
    done
}

"$action"
