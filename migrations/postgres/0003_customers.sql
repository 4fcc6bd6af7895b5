-- Contracts and personal data. docs/schema.md explains them.

INSERT INTO dataset (id, name, direction, curve) VALUES
    (8, 'contract', 0, false), (9, 'address', 0, false), (10, 'identity', 0, false), (11, 'contact', 0, false);

-- A row for each time that something changed. What follows `activated_on` in the first version is told in
-- other words by each API, so that another word amends the row.
ALTER TABLE contract
    ADD COLUMN starts_on date,
    ADD COLUMN kind text,
    ADD COLUMN status text,
    ADD COLUMN tariff_label text,
    ADD COLUMN meter_type text,
    ADD COLUMN level text,
    ADD COLUMN learnt_at timestamptz;

-- Calls that a source does not take from this application, by their path.
CREATE TABLE closed_call (
    source int4 NOT NULL REFERENCES source,
    path text COLLATE "C" NOT NULL,
    code text NOT NULL,
    not_before int8 NOT NULL,
    PRIMARY KEY (source, path)
);

-- Personal data: in no view, and only as it is now.
CREATE TABLE personal_address (
    meter int4 PRIMARY KEY REFERENCES meter,
    details text,
    street text,
    locality text,
    postal_code text,
    city text,
    insee_code text,
    country text,
    latitude text,
    longitude text,
    altitude text,
    learnt_at timestamptz NOT NULL
);

CREATE TABLE personal_identity (
    meter int4 PRIMARY KEY REFERENCES meter,
    title text,
    first_name text,
    last_name text,
    organisation text,
    trading_name text,
    business text,
    siret text,
    siren text,
    learnt_at timestamptz NOT NULL
);

CREATE TABLE personal_contact (
    meter int4 PRIMARY KEY REFERENCES meter,
    phone text,
    landline text,
    email text,
    learnt_at timestamptz NOT NULL
);

UPDATE schema_version SET version = 3;
