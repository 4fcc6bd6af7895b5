-- Contracts and personal data. docs/schema.md explains them.

PRAGMA user_version = 3;
