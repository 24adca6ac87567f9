from pydantic import BaseModel, ConfigDict


class WandbIdentity(BaseModel):
    """Which W&B run a result belongs to.

    Attributes:
        entity: Team or user; None for the account's default.
        project: Project.
        run_id: Eight letters.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    entity: str | None
    project: str
    run_id: str
