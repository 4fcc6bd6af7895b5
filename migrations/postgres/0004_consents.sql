-- Consents. docs/schema.md explains them.

UPDATE schema_version SET version = 4;
