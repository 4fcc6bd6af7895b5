-- Registers, off-peak hours and kept answers. docs/schema.md explains them.

UPDATE schema_version SET version = 2;

INSERT INTO dataset (id, name, direction, curve) VALUES
    (6, 'consumption_index', 0, false), (7, 'production_index', 1, false);

-- Readings by meter and time, as they are written and read; `daily` is true for the snapshot of a
-- midnight, false for others. A total has neither calendar nor class: both are empty.
ALTER TABLE register_reading ADD COLUMN daily boolean NOT NULL DEFAULT true;
ALTER TABLE register_reading DROP CONSTRAINT register_reading_pkey;
ALTER TABLE register_reading
    ADD CONSTRAINT register_reading_pkey PRIMARY KEY (meter, direction, read_at, calendar, register, tariff_class);

-- Which register an old value was of, in words.
ALTER TABLE revision ADD COLUMN register text;

CREATE OR REPLACE VIEW v_index AS
SELECT
    m.prm,
    m.name AS meter,
    d.name AS direction,
    i.read_at,
    nullif(i.calendar, '') AS calendar,
    CASE i.tariff_class WHEN '' THEN 'TOTAL' ELSE i.tariff_class END AS tariff_class,
    i.register,
    i.wh
FROM meter m
CROSS JOIN direction d
JOIN register_reading i ON i.meter = m.id AND i.direction = d.id;

CREATE OR REPLACE VIEW v_daily_by_class AS
SELECT
    m.prm,
    m.name AS meter,
    d.name AS direction,
    b.day,
    nullif(b.calendar, '') AS calendar,
    CASE b.tariff_class WHEN '' THEN 'TOTAL' ELSE b.tariff_class END AS tariff_class,
    b.wh
FROM meter m
CROSS JOIN direction d
JOIN daily_by_class b ON b.meter = m.id AND b.direction = d.id;

CREATE OR REPLACE VIEW v_revision AS
SELECT m.prm, d.name AS dataset, r.start AS starts_at, r.old_value, r.new_value, r.seen_at, r.register
FROM revision r
JOIN meter m ON m.id = r.meter
JOIN dataset d ON d.id = r.dataset;
