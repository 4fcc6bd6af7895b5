-- Consents. docs/schema.md explains them.

-- What a journey to Enedis' page, or the list of subscribed services, told of a meter. The meter need not be
-- in the configuration yet.
CREATE TABLE authorisation (
    granted_at timestamptz NOT NULL,
    until timestamptz,
    checked_at timestamptz,
    number int8,
    source int4 NOT NULL REFERENCES source,
    ended boolean NOT NULL DEFAULT false,
    prm text COLLATE "C" NOT NULL,
    api text COLLATE "C" NOT NULL,
    learnt text COLLATE "C" NOT NULL,
    covers text COLLATE "C" NOT NULL DEFAULT '',
    PRIMARY KEY (source, prm)
);

-- Journeys to Enedis' page. `state` is a digest: what was sent cannot be found from it.
CREATE TABLE journey (
    begun_at timestamptz NOT NULL,
    answered_at timestamptz,
    done_at timestamptz,
    number int8,
    source int4 NOT NULL REFERENCES source,
    state text COLLATE "C" NOT NULL,
    api text COLLATE "C" NOT NULL,
    duration text COLLATE "C" NOT NULL,
    PRIMARY KEY (source, state)
);

ALTER TABLE consent ADD COLUMN granted_at timestamptz;
ALTER TABLE consent ADD COLUMN warned int2;
ALTER TABLE consent ADD COLUMN source text COLLATE "C";
ALTER TABLE consent ADD COLUMN learnt text COLLATE "C";

UPDATE schema_version SET version = 4;
