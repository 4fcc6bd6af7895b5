-- Contracts and personal data. docs/schema.md explains them.

UPDATE schema_version SET version = 3;
