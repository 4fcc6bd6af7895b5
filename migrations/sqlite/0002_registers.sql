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

-- Enedis' texts about off-peak hours, and what they mean: 0 not understood, 1 there are none, 2 the slots
-- below. A slot lies within a day: one that goes over midnight is two. `season`: 0 summer, 1 winter.
CREATE TABLE offpeak (text TEXT NOT NULL PRIMARY KEY, kind INTEGER NOT NULL) WITHOUT ROWID, STRICT;
CREATE TABLE offpeak_slot (
    text TEXT NOT NULL REFERENCES offpeak,
    season INTEGER NOT NULL,
    from_minute INTEGER NOT NULL,
    to_minute INTEGER NOT NULL,
    PRIMARY KEY (text, season, from_minute)
) WITHOUT ROWID, STRICT;

-- Answers as they came, packed (gzip, then base64). `starts` is 1 where labels name the start of an interval.
CREATE TABLE raw_answer (
    call INTEGER PRIMARY KEY,
    meter INTEGER NOT NULL,
    dataset INTEGER NOT NULL,
    source INTEGER NOT NULL,
    start_day INTEGER NOT NULL,
    end_day INTEGER NOT NULL,
    asked_at INTEGER NOT NULL,
    api TEXT NOT NULL,
    starts INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;
CREATE INDEX raw_answer_by_series ON raw_answer (meter, dataset, asked_at);

DROP VIEW v_load_curve;
CREATE VIEW v_load_curve AS
SELECT
    m.prm,
    m.name AS meter,
    d.name AS direction,
    strftime('%Y-%m-%dT%H:%M:%SZ', l.start, 'unixepoch') AS starts_at,
    l.start AS starts_epoch,
    strftime('%Y-%m-%dT%H:%M:%SZ', l.start + 60 * k.minutes, 'unixepoch') AS ends_at,
    strftime('%Y-%m-%dT%H:%M:%S', l.start + 3600 * (1 + k.summer), 'unixepoch') AS starts_local,
    date(l.start + 3600 * (1 + k.summer), 'unixepoch') AS day,
    k.minutes,
    l.watts,
    l.watts * k.minutes / 60.0 AS wh,
    -- Of the contract in force. An interval that a boundary cuts has the class of its larger part.
    (
        SELECT CASE
            WHEN o.kind = 1 OR (n.offpeak_hours IS NULL AND n.distribution_tariff LIKE 'BTINF%ST') THEN 'BASE'
            WHEN o.kind = 2 THEN (
                SELECT CASE
                    WHEN 2 * sum(max(0,
                            min(s.to_minute, (l.start + 3600 * (1 + k.summer)) % 86400 / 60 + k.minutes)
                            - max(s.from_minute, (l.start + 3600 * (1 + k.summer)) % 86400 / 60)))
                        + max((l.start + 3600 * (1 + k.summer)) % 86400 / 60 >= s.from_minute
                            AND (l.start + 3600 * (1 + k.summer)) % 86400 / 60 < s.to_minute) > k.minutes
                    THEN 'HC' ELSE 'HP'
                END
                FROM offpeak_slot s
                WHERE s.text = o.text AND s.season = CASE
                    WHEN strftime('%m', l.start + 3600 * (1 + k.summer), 'unixepoch') BETWEEN '04' AND '10'
                    THEN 0 ELSE 1
                END
            )
        END
        FROM contract n
        LEFT JOIN offpeak o ON o.text = n.offpeak_hours
        WHERE n.meter = m.id AND n.direction = 0 AND d.id = 0
            AND n.valid_from <= (l.start + 3600 * (1 + k.summer)) / 86400
        ORDER BY n.valid_from DESC LIMIT 1
    ) AS tariff_class,
    (SELECT s.name FROM source s WHERE s.id = k.source) AS source
FROM meter m
CROSS JOIN direction d
CROSS JOIN load_curve l ON l.meter = m.id AND l.direction = d.id
CROSS JOIN interval_kind k ON k.id = l.kind;

DROP VIEW v_daily;
CREATE VIEW v_daily AS
SELECT
    prm, meter, day, day_epoch, consumption_wh, production_wh, max_power_va, max_power_at,
    curve_consumption_wh, curve_production_wh,
    coalesce(register_hp_wh, curve_consumption_wh - curve_hc_wh) AS hp_wh,
    coalesce(register_hc_wh, curve_hc_wh) AS hc_wh,
    coalesce(consumption_wh, curve_consumption_wh) AS best_consumption_wh,
    CASE
        WHEN consumption_wh IS NOT NULL THEN 'daily'
        WHEN curve_consumption_wh IS NOT NULL THEN 'curve'
    END AS consumption_basis,
    subscribed_kva
FROM (
    SELECT
        m.prm,
        m.name AS meter,
        c.iso AS day,
        c.starts_epoch AS day_epoch,
        e.wh AS consumption_wh,
        p.wh AS production_wh,
        x.va AS max_power_va,
        strftime('%Y-%m-%dT%H:%M:%SZ', x.at, 'unixepoch') AS max_power_at,
        CASE WHEN ec.state = 0 THEN (
            SELECT sum(l.watts * i.minutes) / 60.0 FROM load_curve l CROSS JOIN interval_kind i ON i.id = l.kind
            WHERE l.meter = m.id AND l.direction = 0
                AND l.start >= c.starts_epoch AND l.start < c.starts_epoch + 60 * c.minutes
        ) END AS curve_consumption_wh,
        CASE WHEN pc.state = 0 THEN (
            SELECT sum(l.watts * i.minutes) / 60.0 FROM load_curve l CROSS JOIN interval_kind i ON i.id = l.kind
            WHERE l.meter = m.id AND l.direction = 1
                AND l.start >= c.starts_epoch AND l.start < c.starts_epoch + 60 * c.minutes
        ) END AS curve_production_wh,
        -- What the meter counted itself: the distributor's calendar, where it has these two classes alone.
        (
            SELECT max(b.wh) FILTER (WHERE b.tariff_class = 'HP') FROM daily_by_class b
            WHERE b.meter = m.id AND b.direction = 0 AND b.day = c.day AND b.calendar LIKE 'D%'
            HAVING count(*) = 2 AND sum(b.tariff_class IN ('HP', 'HC')) = 2
        ) AS register_hp_wh,
        (
            SELECT max(b.wh) FILTER (WHERE b.tariff_class = 'HC') FROM daily_by_class b
            WHERE b.meter = m.id AND b.direction = 0 AND b.day = c.day AND b.calendar LIKE 'D%'
            HAVING count(*) = 2 AND sum(b.tariff_class IN ('HP', 'HC')) = 2
        ) AS register_hc_wh,
        -- Else the curve, by the hours of the contract in force; what a boundary cuts is divided by time.
        CASE WHEN ec.state = 0 THEN (
            SELECT sum(l.watts * max(0,
                min(s.to_minute, (l.start + 3600 * (1 + i.summer)) % 86400 / 60 + i.minutes)
                - max(s.from_minute, (l.start + 3600 * (1 + i.summer)) % 86400 / 60))) / 60.0
            FROM load_curve l
            CROSS JOIN interval_kind i ON i.id = l.kind
            CROSS JOIN offpeak_slot s ON s.text = (
                SELECT CASE o.kind WHEN 2 THEN o.text END
                FROM contract n LEFT JOIN offpeak o ON o.text = n.offpeak_hours
                WHERE n.meter = m.id AND n.direction = 0 AND n.valid_from <= c.day
                ORDER BY n.valid_from DESC LIMIT 1
            ) AND s.season = CASE WHEN substr(c.iso, 6, 2) BETWEEN '04' AND '10' THEN 0 ELSE 1 END
            WHERE l.meter = m.id AND l.direction = 0
                AND l.start >= c.starts_epoch AND l.start < c.starts_epoch + 60 * c.minutes
        ) END AS curve_hc_wh,
        (
            SELECT k.subscribed_va / 1000.0 FROM contract k
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
    WHERE e.wh IS NOT NULL OR p.wh IS NOT NULL OR x.va IS NOT NULL OR ec.state = 0 OR pc.state = 0
        OR EXISTS (SELECT 1 FROM daily_by_class b WHERE b.meter = m.id AND b.direction = 0 AND b.day = c.day)
);

-- What registers say in all: the total, or the sum of one calendar where there is none.
DROP VIEW v_reconciliation;
CREATE VIEW v_reconciliation AS
SELECT
    prm, meter, direction, day, daily_wh, curve_wh, index_wh,
    coalesce(curve_wh - daily_wh, index_wh - daily_wh, curve_wh - index_wh) AS deviation_wh
FROM (
    SELECT
        m.prm,
        m.name AS meter,
        d.name AS direction,
        c.iso AS day,
        e.wh AS daily_wh,
        CASE WHEN v.state = 0 THEN (
            SELECT sum(l.watts * i.minutes) / 60.0 FROM load_curve l CROSS JOIN interval_kind i ON i.id = l.kind
            WHERE l.meter = m.id AND l.direction = d.id
                AND l.start >= c.starts_epoch AND l.start < c.starts_epoch + 60 * c.minutes
        ) END AS curve_wh,
        (
            SELECT sum(b.wh) FROM daily_by_class b
            WHERE b.meter = m.id AND b.direction = d.id AND b.day = c.day
            GROUP BY b.calendar ORDER BY b.calendar LIMIT 1
        ) AS index_wh
    FROM meter m
    CROSS JOIN direction d
    CROSS JOIN calendar c
    LEFT JOIN daily_energy e ON e.meter = m.id AND e.direction = d.id AND e.day = c.day
    LEFT JOIN coverage v ON v.meter = m.id AND v.dataset = d.id + 1 AND v.day = c.day
    WHERE e.wh IS NOT NULL OR v.state = 0
        OR EXISTS (SELECT 1 FROM daily_by_class b WHERE b.meter = m.id AND b.direction = d.id AND b.day = c.day)
);

PRAGMA user_version = 2;
