"""Where things live: settings from the environment (``MLSTATS_*``) and a profile.

A profile (``configs/profiles/NAME.yaml``) holds defaults for a laptop or for a team's
servers; a variable of the environment always wins. Secrets come from the environment
only.
"""

from __future__ import annotations

import os
import re
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from mlstats.errors import ConfigError, ServiceError, nearest

__all__ = [
    "LOCAL",
    "Settings",
    "config_folders",
    "load_settings",
    "refuse_password",
    "scale_address",
]

LOCAL: Final = "local"  # the scale of one machine


class Settings(BaseSettings):
    """Settings of one project.

    Parameters
    ----------
    project : pathlib.Path
        The folder that holds ``configs/`` and ``models/``; the current folder.
    home : pathlib.Path
        All state besides the MLflow store, git-ignored; ``.mlstats`` in the project.
    store : str
        Where releases and confidential tables lie; the home.
    tracking_uri : str
        MLflow; SQLite and files under ``models/``.
    database_url : str
        Decisions, reviews and the index of releases; SQLite in the home.
    data : str
        The folder to which relative data paths refer; empty: the project.
    scale : str
        ``local``, or the address of a Dask scheduler: ``tcp://HOST:PORT``, or
        ``tls://HOST:PORT``.
    workers : int
        Processes of the local scale.
    profile : str
        Name of the profile that supplied the defaults.
    """

    model_config = SettingsConfigDict(env_prefix="MLSTATS_", extra="forbid")

    project: Path = Path()
    home: Path = Path(".mlstats")
    store: str = ""
    tracking_uri: str = Field("", repr=False)  # these two may hold a password
    database_url: str = Field("", repr=False)
    data: str = ""
    scale: str = LOCAL
    workers: int = Field(1, ge=1)
    profile: str = "laptop"

    @cached_property
    def home_folder(self) -> Path:
        """The home as an absolute path."""
        return (self.project / self.home).absolute()

    @cached_property
    def store_folder(self) -> Path:
        """The store of releases and confidential tables as an absolute path."""
        return Path(self.store).absolute() if self.store else self.home_folder

    @cached_property
    def confidential(self) -> Path:
        """The folder of everything that holds records or words."""
        return self.store_folder / "confidential"

    @cached_property
    def releases(self) -> Path:
        """The folder of the releases of reference periods."""
        return self.store_folder / "releases"

    @cached_property
    def shadows(self) -> Path:
        """The folder of what versions in the shadow answered, laid out as releases."""
        return self.store_folder / "shadows"

    @cached_property
    def runs(self) -> Path:
        """The folder of the publishable outputs of runs."""
        return self.home_folder / "runs"

    @cached_property
    def monitor(self) -> Path:
        """The folder of the pilots' histories over periods."""
        return self.home_folder / "monitor"

    @cached_property
    def evidently(self) -> Path:
        """The Evidently workspace of all pilots."""
        return self.home_folder / "evidently"

    @cached_property
    def models(self) -> Path:
        """The folder of the embedded MLflow store and the model cards."""
        return (self.project / "models").absolute()

    @cached_property
    def mlflow_uri(self) -> str:
        """The tracking URI that MLflow is given, never left to its default."""
        return self.tracking_uri or f"sqlite:///{self.models.as_posix()}/mlflow.db"

    @cached_property
    def database(self) -> str:
        """The URL of the database of decisions."""
        return self.database_url or f"sqlite:///{self.home_folder.as_posix()}/state.db"

    def data_path(self, path: str) -> Path:
        """Return where the data file `path` of a pilot lies."""
        root = Path(self.data) if self.data else self.project
        return root / path

    def prepare(self) -> None:
        """Create the folders of the project's state.

        Raises
        ------
        ServiceError
            Where a folder cannot be written.
        """
        for folder, mode in (
            (self.home_folder, 0o755),
            (self.confidential, 0o700),
            (self.runs, 0o755),
            (self.models, 0o755),
        ):
            try:
                folder.mkdir(mode=mode, parents=True, exist_ok=True)
                writable = os.access(folder, os.W_OK)
            except OSError:
                writable = False
            if not writable:
                raise ServiceError(
                    "The store cannot be written",
                    where=str(folder),
                    expected="a folder in which this user may create files",
                    hint="free the disk or set MLSTATS_HOME and MLSTATS_STORE",
                )


def config_folders(project: Path) -> list[Path]:
    """Return the folders searched for configs: the project's, then the shipped."""
    package = Path(__file__).parent
    shipped = [package / "configs", package.parents[1] / "configs"]
    return [f for f in (project / "configs", *shipped) if f.is_dir()]


def refuse_password(text: str, where: str) -> None:
    """Refuse an address with a password, ``://user:password@``, in a file.

    Raises
    ------
    ConfigError
        Where `text` holds one.
    """
    if re.search(r"://[^/\s:@]*:[^/\s@]+@", text):
        raise ConfigError(
            "A file holds a password",
            where=where,
            hint="move the address to an environment variable",
        )


def scale_address(text: str) -> str:
    """Return the address of a scale where it can be used as it is written.

    Raises
    ------
    ConfigError
        Where it is neither ``local`` nor the address of a Dask scheduler.

    Examples
    --------
    >>> scale_address("tls://dask.office:8786")
    'tls://dask.office:8786'
    """
    if text == LOCAL or re.fullmatch(r"(tcp|tls)://(\[[^]@]+]|[^/:@\s]+):\d+", text):
        return text
    raise ConfigError(
        f"The scale {text.rpartition('@')[2]!r} is not valid",
        where="MLSTATS_SCALE or --scale",
        expected="local, tcp://HOST:PORT or tls://HOST:PORT",
        nearest=_nearest_scale(text),
        hint="the scheduler's log says its address, and so does mlstats up",
    )


def _nearest_scale(text: str) -> str:
    """Return the address that was meant most likely; 8786 is the scheduler's usual."""
    if nearest(text.strip().lower(), [LOCAL, "dask"]):
        return LOCAL
    scheme, _, rest = text.strip().rpartition("//")
    scheme = "tls" if scheme.lower().startswith(("tls", "https")) else "tcp"
    given = re.match(r"([^/:]+):?(\d*)", rest.rpartition("@")[2])
    if given is None:
        return LOCAL
    # 8787 is the dashboard's: it answers browsers only.
    port = given[2] if given[2] not in {"", "8787"} else "8786"
    return f"{scheme}://{given[1]}:{port}"


def load_settings(**overrides: Any) -> Settings:
    """Read the settings: overrides, then environment, then profile, then defaults.

    Raises
    ------
    ConfigError
        Where a profile or a variable is not valid.
    """
    _refuse_unknown_variables()
    project = Path(
        overrides.get("project") or os.environ.get("MLSTATS_PROJECT") or Path()
    )
    name = overrides.get("profile") or os.environ.get("MLSTATS_PROFILE") or "laptop"
    # Variables are read whatever their case, so their case cannot matter here.
    variables = {variable.upper() for variable in os.environ}
    values = {
        key: value
        for key, value in _profile(name, project).items()
        if f"MLSTATS_{key.upper()}" not in variables
    }
    try:
        settings = Settings(**{**values, "profile": name, **overrides})
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        field = str(first["loc"][0]) if first["loc"] else "?"
        raise ConfigError(
            f"The setting {field!r} is not valid: {first['msg']}",
            where=f"MLSTATS_{field.upper()} or profile {name}",
            nearest=nearest(field, Settings.model_fields),
        ) from None
    scale_address(settings.scale)
    _isolate_prefect(settings)
    return settings


def _isolate_prefect(settings: Settings) -> None:
    """Keep the state of Prefect's own server in the project, not in the user's home."""
    os.environ.setdefault("PREFECT_HOME", str(settings.home_folder / "prefect"))


def _refuse_unknown_variables() -> None:
    known = {f"MLSTATS_{field.upper()}" for field in Settings.model_fields}
    for variable in sorted(os.environ):
        if not variable.startswith("MLSTATS_") or variable in known:
            continue
        close = nearest(variable, known)
        if close:
            raise ConfigError(
                f"The environment variable {variable} is not a setting",
                nearest=close,
                hint=f"rename it to {close} or unset it",
            )


def _profile(name: str, project: Path) -> dict[str, Any]:
    folders = config_folders(project)
    for folder in folders:
        path = folder / "profiles" / f"{name}.yaml"
        if path.is_file():
            return _read_profile(path)
    if name == "laptop":
        return {}
    names = [p.stem for f in folders for p in sorted((f / "profiles").glob("*.yaml"))]
    raise ConfigError(
        f"There is no profile {name!r}",
        where="MLSTATS_PROFILE",
        expected=", ".join(sorted(set(names))) or "configs/profiles/NAME.yaml",
        nearest=nearest(name, names),
    )


def _read_profile(path: Path) -> dict[str, Any]:
    try:
        loaded = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, OSError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        raise ConfigError(
            "The profile cannot be read as YAML",
            where=f"{path}:{mark.line + 1}" if mark else str(path),
        ) from None
    if not isinstance(loaded, dict):
        raise ConfigError(
            "The profile holds no settings", where=str(path), expected="key: value"
        )
    for key, value in loaded.items():
        refuse_password(str(value), f"{path} ({key})")
    return {str(key): value for key, value in loaded.items()}
