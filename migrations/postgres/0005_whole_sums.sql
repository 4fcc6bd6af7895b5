-- Views that guess less. docs/schema.md explains them.

UPDATE schema_version SET version = 5;

-- An empty text about off-peak hours says that there are none only where the tariff is not one that has some.
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
            WHEN o.kind = 1 AND n.distribution_tariff IS NULL THEN 'BASE'
            WHEN (o.kind = 1 OR n.offpeak_hours IS NULL) AND n.distribution_tariff LIKE 'BTINF%ST' THEN 'BASE'
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

-- What registers say in all: the total, or where there is none the sum of the first calendar of which no class lacks
-- that it has at other times. Of what differs, the deviation is the largest.
CREATE OR REPLACE VIEW v_reconciliation AS
SELECT
    m.prm,
    m.name AS meter,
    d.name AS direction,
    c.day,
    e.wh AS daily_wh,
    cv.wh AS curve_wh,
    g.wh AS index_wh,
    CASE
        WHEN abs(g.wh - e.wh) > abs(cv.wh - e.wh) AND abs(g.wh - e.wh) >= abs(cv.wh - g.wh) THEN g.wh - e.wh
        WHEN abs(cv.wh - g.wh) > abs(cv.wh - e.wh) AND abs(cv.wh - g.wh) > abs(g.wh - e.wh) THEN cv.wh - g.wh
        ELSE coalesce(cv.wh - e.wh, g.wh - e.wh, cv.wh - g.wh)
    END AS deviation_wh
FROM meter m
CROSS JOIN direction d
-- How many classes each calendar has, counted once.
CROSS JOIN LATERAL (
    SELECT array_agg(k.calendar || '=' || k.classes) AS calendars FROM (
        SELECT o.calendar, count(DISTINCT o.tariff_class) AS classes FROM register_reading o
        WHERE o.meter = m.id AND o.direction = d.id
        GROUP BY o.calendar
    ) k
) known
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
    GROUP BY b.calendar
    HAVING b.calendar = '' OR b.calendar || '=' || count(*) = ANY (known.calendars)
    ORDER BY b.calendar LIMIT 1
) g ON true
WHERE e.wh IS NOT NULL OR v.state = 0
    OR EXISTS (SELECT 1 FROM daily_by_class b WHERE b.meter = m.id AND b.direction = d.id AND b.day = c.day);

-- A value that is taken out has no new one.
ALTER TABLE revision ALTER COLUMN new_value DROP NOT NULL;
