-- Contracts and personal data. docs/schema.md explains them.

INSERT INTO dataset (id, name, direction, curve) VALUES
    (8, 'contract', 0, 0), (9, 'address', 0, 0), (10, 'identity', 0, 0), (11, 'contact', 0, 0);

-- A row for each time that something changed. What follows `activated_on` in the first version is told in
-- other words by each API, so that another word amends the row.
ALTER TABLE contract ADD COLUMN starts_on INTEGER;
ALTER TABLE contract ADD COLUMN kind TEXT;
ALTER TABLE contract ADD COLUMN status TEXT;
ALTER TABLE contract ADD COLUMN tariff_label TEXT;
ALTER TABLE contract ADD COLUMN meter_type TEXT;
ALTER TABLE contract ADD COLUMN level TEXT;
ALTER TABLE contract ADD COLUMN learnt_at INTEGER;

-- Calls that a source does not take from this application, by their path.
CREATE TABLE closed_call (
    source INTEGER NOT NULL REFERENCES source,
    path TEXT NOT NULL,
    code TEXT NOT NULL,
    not_before INTEGER NOT NULL,
    PRIMARY KEY (source, path)
) WITHOUT ROWID, STRICT;

-- Personal data: in no view, and only as it is now.
CREATE TABLE personal_address (
    meter INTEGER PRIMARY KEY REFERENCES meter,
    details TEXT,
    street TEXT,
    locality TEXT,
    postal_code TEXT,
    city TEXT,
    insee_code TEXT,
    country TEXT,
    latitude TEXT,
    longitude TEXT,
    altitude TEXT,
    learnt_at INTEGER NOT NULL
) STRICT;

CREATE TABLE personal_identity (
    meter INTEGER PRIMARY KEY REFERENCES meter,
    title TEXT,
    first_name TEXT,
    last_name TEXT,
    organisation TEXT,
    trading_name TEXT,
    business TEXT,
    siret TEXT,
    siren TEXT,
    learnt_at INTEGER NOT NULL
) STRICT;

CREATE TABLE personal_contact (
    meter INTEGER PRIMARY KEY REFERENCES meter,
    phone TEXT,
    landline TEXT,
    email TEXT,
    learnt_at INTEGER NOT NULL
) STRICT;

PRAGMA user_version = 3;
