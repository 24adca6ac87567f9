"""The settings that the file of a trajectory format may hold, each with its type and its range."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

Word = Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]
Columns = Annotated[int, Field(ge=0, le=10_000)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Steps = Annotated[int, Field(ge=1, le=100_000)]
Finite = Annotated[float, Field(ge=-1e9, le=1e9)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True)


class PartSettings(_Strict):
    """A part that has settings, see ``part_entry``."""

    part: Word
    settings: dict[Word, JsonValue] = {}


Part = Word | PartSettings


class ReturnSettings(_Strict):
    """The settings of ``ReturnTarget``."""

    discount: Annotated[float, Field(gt=0, le=1)] = 0.997
    termination_penalty: Finite = -100.0
    time_limit: Literal["truncate", "extrapolate"] = "truncate"


class DataSettings(_Strict):
    """The identity of the training data."""

    name: Word = "unknown"
    kind: Literal["d4rl", "regenerated", "collected", "minari", "file", "imported"] = "imported"
    sha256: Word = "unknown"
    num_transitions: Annotated[int, Field(ge=0, le=10**12)] = 0


class TrajectorySettings(_Strict):
    """The arguments of ``TrajectoryFormat``, as its file may give them."""

    action_dim: Columns
    observation_dim: Annotated[Columns, Field(ge=1)]
    horizon: Count
    stride: Count = 1
    num_train_timesteps: Steps | None = None
    prediction_type: Literal["sample", "epsilon", "v_prediction"] | None = None
    conditioning: Part = "first_state"
    normalizer: Part = "gaussian_normalizer"
    returns: ReturnSettings | None = None
    guide_scale: Finite | None = None
    t_stopgrad: Annotated[int, Field(ge=0, le=100_000)] | None = None
    task: Word | None = None
    env_id: Word | None = None
    data: DataSettings | None = None
    sampler: Part | None = None
    critic_quality: dict[Word, JsonValue] | None = None
    format: Annotated[int, Field(ge=1, le=1_000_000)] = 1


class StatisticsSettings(_Strict):
    """A JSON file of a normaliser: one number a column, in the order of a plan row."""

    offset: Annotated[list[Finite], Field(max_length=20_000)]
    scale: Annotated[list[Annotated[float, Field(gt=0, le=1e9)]], Field(max_length=20_000)]
