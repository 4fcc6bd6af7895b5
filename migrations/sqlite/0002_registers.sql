-- Registers, off-peak hours and kept answers. docs/schema.md explains them.

INSERT INTO dataset VALUES (6, 'consumption_index', 0, 0), (7, 'production_index', 1, 0);

-- Readings by meter and time, as they are written and read; `daily` is 1 for the snapshot of a midnight,
-- 0 for others. A total has neither calendar nor class: both are empty.
DROP VIEW v_index;
ALTER TABLE register_reading RENAME TO register_reading_1;
CREATE TABLE register_reading (
    meter INTEGER NOT NULL,
    direction INTEGER NOT NULL,
    read_at INTEGER NOT NULL,
    calendar TEXT NOT NULL,
    register TEXT NOT NULL,
    tariff_class TEXT NOT NULL,
    wh INTEGER NOT NULL,
    source INTEGER NOT NULL,
    daily INTEGER NOT NULL DEFAULT 1,
    PRIMARY KEY (meter, direction, read_at DESC, calendar, register, tariff_class)
) WITHOUT ROWID, STRICT;
INSERT INTO register_reading
SELECT meter, direction, read_at, calendar, register, tariff_class, wh, source, 1 FROM register_reading_1;
DROP TABLE register_reading_1;

-- Which register an old value was of, in words.
ALTER TABLE revision ADD COLUMN register TEXT;

CREATE VIEW v_index AS
SELECT
    m.prm,
    m.name AS meter,
    d.name AS direction,
    strftime('%Y-%m-%dT%H:%M:%SZ', i.read_at, 'unixepoch') AS read_at,
    nullif(i.calendar, '') AS calendar,
    CASE i.tariff_class WHEN '' THEN 'TOTAL' ELSE i.tariff_class END AS tariff_class,
    i.register,
    i.wh
FROM meter m
CROSS JOIN direction d
CROSS JOIN register_reading i ON i.meter = m.id AND i.direction = d.id;

DROP VIEW v_daily_by_class;
CREATE VIEW v_daily_by_class AS
SELECT
    m.prm,
    m.name AS meter,
    d.name AS direction,
    c.iso AS day,
    nullif(b.calendar, '') AS calendar,
    CASE b.tariff_class WHEN '' THEN 'TOTAL' ELSE b.tariff_class END AS tariff_class,
    b.wh
FROM meter m
CROSS JOIN direction d
CROSS JOIN calendar c
CROSS JOIN daily_by_class b ON b.meter = m.id AND b.direction = d.id AND b.day = c.day;

DROP VIEW v_revision;
CREATE VIEW v_revision AS
SELECT
    m.prm,
    d.name AS dataset,
    strftime('%Y-%m-%dT%H:%M:%SZ', r.start, 'unixepoch') AS starts_at,
    r.old_value,
    r.new_value,
    strftime('%Y-%m-%dT%H:%M:%SZ', r.seen_at, 'unixepoch') AS seen_at,
    r.register
FROM revision r
JOIN meter m ON m.id = r.meter
JOIN dataset d ON d.id = r.dataset;

PRAGMA user_version = 2;
