-- Registers, off-peak hours and kept answers. docs/schema.md explains them.

PRAGMA user_version = 2;
