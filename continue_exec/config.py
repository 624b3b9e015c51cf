"""One Settings model: defaults, then the user's config.toml, then CONTINUE_EXEC_* variables.

Nothing is read at import; `load()` is called once by the composition root and passed down.
To add a setting: a field here with its unit and its reason, a row in docs/reference/settings.md (a test compares).
Workspace files never set any of these: they may only narrow policy, and none is read yet.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from . import paths
from .errors import InvalidRequest

MIB = 1 << 20


class Settings(BaseSettings):
    """Every setting of the engine. Sizes are bytes, times seconds, unless the name says otherwise."""

    model_config = SettingsConfigDict(env_prefix="CONTINUE_EXEC_", frozen=True, extra="forbid", env_ignore_empty=True)

    runsc: Path | None = Field(default=None, description="the runsc binary; unset: found on PATH, then ~/.local/bin")

    memory_bytes: int | None = Field(
        default=None,
        ge=64 * MIB,
        description="memory limit of each sandbox; unset: none, as at reach of a hard limit the whole sandbox may end",
    )
    cpus: float | None = Field(default=None, gt=0, description="cores each sandbox may use; unset: all")
    processes: int = Field(
        default=4096, ge=64, description="processes and threads inside each sandbox: stops a fork bomb, not a build"
    )

    kill_grace_s: float = Field(default=2.0, ge=0, le=60, description="between TERM and KILL when a run is cancelled")
    run_timeout_s: float | None = Field(
        default=None, gt=0, description="of runs that name no timeout of their own; unset: they may run for days"
    )

    output_keep_bytes: int = Field(
        default=16 * MIB, ge=MIB, description="newest output of each run kept for `logs` and for reconnecting clients"
    )
    output_lag_bytes: int = Field(
        default=1024 * MIB,
        ge=MIB,
        description="how far a connected client may fall behind before output is dropped; "
        "it waits on disk, so that a slow reader neither blocks the command nor grows memory",
    )
    runs_kept: int = Field(default=200, ge=1, description="ended runs whose events are kept, all sandboxes together")

    egress: Literal["none", "allowlist", "open"] = Field(
        default="allowlist", description="`allowlist`: the package registries this host is configured for, and `allow`"
    )
    allow: tuple[str, ...] = Field(default=(), description="further hosts: `api.example.com`, `*.example.com:8443`")

    include: tuple[str, ...] = Field(
        default=(), description="ignored or secret files that go in all the same, as .gitignore patterns"
    )

    git: Literal["history", "none"] = Field(
        default="history",
        description="`history`: the workspace's repositories are inside, read-only; `none`: no `.git`",
    )
    git_folders: tuple[Path, ...] = Field(
        default=(),
        description="folders outside a workspace that its repositories may lead to, "
        "such as the one that a clone borrows objects from",
    )

    sandbox_pause_s: float = Field(
        default=10,
        gt=0,
        description="a sandbox in which nothing runs gets no CPU after this; it goes on in a millisecond",
    )
    sandbox_idle_s: float = Field(
        default=900, gt=0, description="a sandbox in which nothing runs is stopped after this; it starts again in 0.2 s"
    )
    engine_idle_s: float = Field(
        default=1800, gt=0, description="the engine ends when it had no request, no run and no sandbox for this long"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then variables, then the file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, toml_file=paths.config())


# Variables of ours that are not settings: they move folders (paths.py) or pass facts to child processes.
NOT_SETTINGS = frozenset(
    {
        "CONTINUE_EXEC_HOME",
        "CONTINUE_EXEC_RUNTIME_DIR",
        "CONTINUE_EXEC_CONFIG",
        "CONTINUE_EXEC_DEBUG",
        "CONTINUE_EXEC_FAKE",
    }
)


def load(**overrides: Any) -> Settings:
    """The settings in force.

    Raises:
        InvalidRequest: the file is not TOML, a name is unknown, or a value is out of range; says which.
    """
    try:
        return Settings(**overrides)
    except tomllib.TOMLDecodeError as error:
        raise InvalidRequest(f"{paths.config()} is not valid TOML: {error}", hint="Mend or remove the file.") from None
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise InvalidRequest(
            f"A setting is wrong: {problems}",
            hint=f"Correct it in {paths.config()} or in the CONTINUE_EXEC_* variables; "
            "docs/reference/settings.md lists them all.",
        ) from None
