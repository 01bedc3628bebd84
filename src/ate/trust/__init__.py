"""Pure decisions about who may write and who can read: plug points, built-ins, pipeline; no I/O."""
