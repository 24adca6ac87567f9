import hashlib

from diffplan.run.result import FileIdentity


def test_a_file_is_known_by_its_content(tmp_path):
    (tmp_path / "file").write_bytes(b"content")
    identity = FileIdentity.of(tmp_path / "file")
    assert identity.sha256 == hashlib.sha256(b"content").hexdigest()
    assert identity.path == str(tmp_path / "file")
