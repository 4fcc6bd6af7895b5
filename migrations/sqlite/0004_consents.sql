-- Consents. docs/schema.md explains them.

PRAGMA user_version = 4;
