-- Consents. docs/schema.md explains them.

-- What a journey to Enedis' page, or the list of subscribed services, told of a meter. The meter need not be
-- in the configuration yet.
CREATE TABLE authorisation (
    source INTEGER NOT NULL REFERENCES source,
    prm TEXT NOT NULL,
    api TEXT NOT NULL,
    number INTEGER,
    granted_at INTEGER NOT NULL,
    until INTEGER,
    learnt TEXT NOT NULL,
    ended INTEGER NOT NULL DEFAULT 0,
    checked_at INTEGER,
    covers TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (source, prm)
) STRICT, WITHOUT ROWID;

-- Journeys to Enedis' page. `state` is a digest: what was sent cannot be found from it.
CREATE TABLE journey (
    source INTEGER NOT NULL REFERENCES source,
    state TEXT NOT NULL,
    api TEXT NOT NULL,
    duration TEXT NOT NULL,
    begun_at INTEGER NOT NULL,
    answered_at INTEGER,
    number INTEGER,
    done_at INTEGER,
    PRIMARY KEY (source, state)
) STRICT, WITHOUT ROWID;

ALTER TABLE consent ADD COLUMN source TEXT;
ALTER TABLE consent ADD COLUMN granted_at INTEGER;
ALTER TABLE consent ADD COLUMN learnt TEXT;
ALTER TABLE consent ADD COLUMN warned INTEGER;

PRAGMA user_version = 4;
