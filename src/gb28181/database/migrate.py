"""Brings the tables to the version of this program, and back; each migration is all or nothing."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from gb28181.database.engine import Engines
from gb28181.errors import StorageError
from gb28181.texts.text import say

logger = logging.getLogger(__name__)

_SCRIPTS: Final = Path(__file__).parent / "migrations"


async def migrate(engines: Engines, revision: str = "head") -> None:
    """Creates or changes the tables until they are those of `revision`.

    Raises:
        StorageError: The database cannot be used, is damaged, or was made by a newer version of this program.
    """
    async with engines.durable() as connection:
        present = await connection.run_sync(_revision)
        scripts = ScriptDirectory.from_config(_config())
        known = {script.revision for script in scripts.walk_revisions()}
        if present is not None and present not in known:
            raise StorageError(say("start.database_version", where=engines.where, present=present))
        wanted = scripts.get_current_head() if revision == "head" else revision
        if present != wanted:
            logger.info("changing the tables", extra={"database": engines.where, "present": present, "wanted": wanted})
            await connection.run_sync(_run, revision, _is_back(scripts, present, wanted))


def _is_back(scripts: ScriptDirectory, present: str | None, wanted: str | None) -> bool:
    if present is None:
        return False
    older = {script.revision for script in scripts.iterate_revisions(present, "base")}
    return wanted == "base" or wanted in older


def _revision(connection: sa.Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _run(connection: sa.Connection, revision: str, back: bool) -> None:
    config = _config()
    config.attributes["connection"] = connection
    (command.downgrade if back else command.upgrade)(config, revision)


def _config() -> Config:
    config = Config()
    # A "%" in the path would be read as the beginning of a substitution.
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    return config
