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

-- Enedis' texts about off-peak hours, and what they mean: 0 not understood, 1 there are none, 2 the slots
-- below. A slot lies within a day: one that goes over midnight is two. `season`: 0 summer, 1 winter.
CREATE TABLE offpeak (kind int2 NOT NULL, text text COLLATE "C" PRIMARY KEY);
CREATE TABLE offpeak_slot (
    from_minute int4 NOT NULL,
    to_minute int4 NOT NULL,
    season int2 NOT NULL,
    text text COLLATE "C" NOT NULL REFERENCES offpeak,
    PRIMARY KEY (text, season, from_minute)
);

-- Answers as they came, packed (gzip, then base64). `starts` is true where labels name the start of an
-- interval.
CREATE TABLE raw_answer (
    call int8 PRIMARY KEY,
    asked_at int8 NOT NULL,
    meter int4 NOT NULL,
    source int4 NOT NULL,
    start_day date NOT NULL,
    end_day date NOT NULL,
    dataset int2 NOT NULL,
    starts boolean NOT NULL,
    api text NOT NULL,
    body text NOT NULL
);
CREATE INDEX raw_answer_by_series ON raw_answer (meter, dataset);
CREATE INDEX raw_answer_by_age ON raw_answer (asked_at);
-- It is packed already.
ALTER TABLE raw_answer ALTER COLUMN body SET STORAGE EXTERNAL;

CREATE OR REPLACE VIEW v_load_curve AS
SELECT
    m.prm,
    m.name AS meter,
    d.name AS direction,
    l.start AS starts_at,
    extract(epoch FROM l.start)::int8 AS starts_epoch,
    l.start + make_interval(mins => k.minutes) AS ends_at,
    l.start AT TIME ZONE 'UTC' + make_interval(hours => 1 + k.summer) AS starts_local,
    (l.start AT TIME ZONE 'UTC' + make_interval(hours => 1 + k.summer))::date AS day,
    k.minutes,
    l.watts,
    l.watts::int8 * k.minutes / 60.0::float8 AS wh,
    -- Of the contract in force. An interval that a boundary cuts has the class of its larger part.
    (
        SELECT CASE
            WHEN o.kind = 1 OR (n.offpeak_hours IS NULL AND n.distribution_tariff LIKE 'BTINF%ST') THEN 'BASE'
            WHEN o.kind = 2 THEN (
                SELECT CASE
                    WHEN 2 * sum(greatest(0, least(s.to_minute, p.minute + k.minutes) - greatest(s.from_minute, p.minute)))
                        + max(CASE WHEN s.from_minute <= p.minute AND p.minute < s.to_minute THEN 1 ELSE 0 END) > k.minutes
                    THEN 'HC' ELSE 'HP'
                END
                FROM (SELECT (extract(hour FROM w.local) * 60 + extract(minute FROM w.local))::int4 AS minute) p
                CROSS JOIN offpeak_slot s
                WHERE s.text = o.text
                    AND s.season = CASE WHEN extract(month FROM w.local) BETWEEN 4 AND 10 THEN 0 ELSE 1 END
            )
        END
        FROM (SELECT l.start AT TIME ZONE 'UTC' + make_interval(hours => 1 + k.summer) AS local) w
        JOIN contract n ON n.meter = m.id AND n.direction = 0 AND n.valid_from <= w.local::date
        LEFT JOIN offpeak o ON o.text = n.offpeak_hours
        WHERE d.id = 0
        ORDER BY n.valid_from DESC LIMIT 1
    ) AS tariff_class,
    s.name AS source
FROM meter m
CROSS JOIN direction d
JOIN load_curve l ON l.meter = m.id AND l.direction = d.id
JOIN interval_kind k ON k.id = l.kind
JOIN source s ON s.id = k.source;

-- Dropped, since a column becomes one with fractions.
DROP VIEW v_daily;
CREATE VIEW v_daily AS
SELECT
    m.prm,
    m.name AS meter,
    c.day,
    extract(epoch FROM c.starts_at)::int8 AS day_epoch,
    e.wh AS consumption_wh,
    p.wh AS production_wh,
    x.va AS max_power_va,
    x.at AS max_power_at,
    ce.wh AS curve_consumption_wh,
    cp.wh AS curve_production_wh,
    coalesce(r.hp_wh::float8, ce.wh - ch.wh) AS hp_wh,
    coalesce(r.hc_wh::float8, ch.wh) AS hc_wh,
    coalesce(e.wh, ce.wh) AS best_consumption_wh,
    CASE
        WHEN e.wh IS NOT NULL THEN 'daily'
        WHEN ce.wh IS NOT NULL THEN 'curve'
    END AS consumption_basis,
    (
        SELECT k.subscribed_va / 1000.0::float8 FROM contract k
        WHERE k.meter = m.id AND k.direction = 0 AND k.valid_from <= c.day
        ORDER BY k.valid_from DESC LIMIT 1
    ) AS subscribed_kva
FROM meter m
CROSS JOIN calendar c
LEFT JOIN daily_energy e ON e.meter = m.id AND e.direction = 0 AND e.day = c.day
LEFT JOIN daily_energy p ON p.meter = m.id AND p.direction = 1 AND p.day = c.day
LEFT JOIN max_power x ON x.meter = m.id AND x.day = c.day
LEFT JOIN coverage ec ON ec.meter = m.id AND ec.dataset = 1 AND ec.day = c.day
LEFT JOIN coverage pc ON pc.meter = m.id AND pc.dataset = 2 AND pc.day = c.day
LEFT JOIN LATERAL (
    SELECT sum(l.watts::int8 * i.minutes)::int8 / 60.0::float8 AS wh
    FROM load_curve l JOIN interval_kind i ON i.id = l.kind
    WHERE ec.state = 0 AND l.meter = m.id AND l.direction = 0
        AND l.start >= c.starts_at AND l.start < c.starts_at + make_interval(mins => c.minutes)
) ce ON true
LEFT JOIN LATERAL (
    SELECT sum(l.watts::int8 * i.minutes)::int8 / 60.0::float8 AS wh
    FROM load_curve l JOIN interval_kind i ON i.id = l.kind
    WHERE pc.state = 0 AND l.meter = m.id AND l.direction = 1
        AND l.start >= c.starts_at AND l.start < c.starts_at + make_interval(mins => c.minutes)
) cp ON true
-- What the meter counted itself: the distributor's calendar, where it has these two classes alone.
LEFT JOIN LATERAL (
    SELECT
        max(b.wh) FILTER (WHERE b.tariff_class = 'HP') AS hp_wh,
        max(b.wh) FILTER (WHERE b.tariff_class = 'HC') AS hc_wh
    FROM daily_by_class b
    WHERE b.meter = m.id AND b.direction = 0 AND b.day = c.day AND b.calendar LIKE 'D%'
    HAVING count(*) = 2 AND count(*) FILTER (WHERE b.tariff_class IN ('HP', 'HC')) = 2
) r ON true
-- Else the curve, by the hours of the contract in force; what a boundary cuts is divided by time.
LEFT JOIN LATERAL (
    SELECT CASE o.kind WHEN 2 THEN o.text END AS text
    FROM contract n LEFT JOIN offpeak o ON o.text = n.offpeak_hours
    WHERE n.meter = m.id AND n.direction = 0 AND n.valid_from <= c.day
    ORDER BY n.valid_from DESC LIMIT 1
) h ON true
LEFT JOIN LATERAL (
    SELECT sum(l.watts::int8
        * greatest(0, least(s.to_minute, w.minute + i.minutes) - greatest(s.from_minute, w.minute)))::int8 / 60.0::float8 AS wh
    FROM load_curve l
    JOIN interval_kind i ON i.id = l.kind
    CROSS JOIN LATERAL (SELECT l.start AT TIME ZONE 'UTC' + make_interval(hours => 1 + i.summer) AS local) t
    CROSS JOIN LATERAL (
        SELECT (extract(hour FROM t.local) * 60 + extract(minute FROM t.local))::int4 AS minute
    ) w
    JOIN offpeak_slot s ON s.text = h.text
        AND s.season = CASE WHEN extract(month FROM c.day) BETWEEN 4 AND 10 THEN 0 ELSE 1 END
    WHERE ec.state = 0 AND h.text IS NOT NULL AND l.meter = m.id AND l.direction = 0
        AND l.start >= c.starts_at AND l.start < c.starts_at + make_interval(mins => c.minutes)
) ch ON true
WHERE e.wh IS NOT NULL OR p.wh IS NOT NULL OR x.va IS NOT NULL OR ec.state = 0 OR pc.state = 0
    OR EXISTS (SELECT 1 FROM daily_by_class b WHERE b.meter = m.id AND b.direction = 0 AND b.day = c.day);

-- What registers say in all: the total, or the sum of one calendar where there is none.
CREATE OR REPLACE VIEW v_reconciliation AS
SELECT
    m.prm,
    m.name AS meter,
    d.name AS direction,
    c.day,
    e.wh AS daily_wh,
    cv.wh AS curve_wh,
    g.wh AS index_wh,
    coalesce(cv.wh - e.wh, (g.wh - e.wh)::float8, cv.wh - g.wh) AS deviation_wh
FROM meter m
CROSS JOIN direction d
CROSS JOIN calendar c
LEFT JOIN daily_energy e ON e.meter = m.id AND e.direction = d.id AND e.day = c.day
LEFT JOIN coverage v ON v.meter = m.id AND v.dataset = d.id + 1 AND v.day = c.day
LEFT JOIN LATERAL (
    SELECT sum(l.watts::int8 * i.minutes)::int8 / 60.0::float8 AS wh
    FROM load_curve l JOIN interval_kind i ON i.id = l.kind
    WHERE v.state = 0 AND l.meter = m.id AND l.direction = d.id
        AND l.start >= c.starts_at AND l.start < c.starts_at + make_interval(mins => c.minutes)
) cv ON true
LEFT JOIN LATERAL (
    SELECT sum(b.wh)::int8 AS wh FROM daily_by_class b
    WHERE b.meter = m.id AND b.direction = d.id AND b.day = c.day
    GROUP BY b.calendar ORDER BY b.calendar LIMIT 1
) g ON true
WHERE e.wh IS NOT NULL OR v.state = 0
    OR EXISTS (SELECT 1 FROM daily_by_class b WHERE b.meter = m.id AND b.direction = d.id AND b.day = c.day);
