"""${message}"""

import sqlalchemy as sa
from alembic import op

from forecourt.core.db import types

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    raise RuntimeError("a schema moves forward only; restore a backup instead")
