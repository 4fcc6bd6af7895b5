-- Registers, off-peak hours and kept answers. docs/schema.md explains them.

UPDATE schema_version SET version = 2;
