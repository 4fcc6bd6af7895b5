//! Off-peak hours in views: what SQL makes of slots is what the domain makes of the contract's text.

use super::*;
use crate::domain::OffPeak;
use crate::store::UnclearHours;

on_both_engines! {
    intervals_and_days_are_divided_by_the_hours_of_the_contract_in_force,
    what_registers_counted_comes_before_the_curve,
    a_day_is_reconciled_with_whatever_is_there,
    the_deviation_is_the_largest_that_there_is,
    classes_of_which_one_lacks_are_no_sum,
    hours_that_are_not_known_are_told_of_the_contract_in_force,
    hours_that_an_earlier_version_did_not_understand_are_read_anew,
}

/// What a contract says from some day on, and what that means: `None` where it is not known, and no hours where
/// there are none.
type Term = (&'static str, Option<&'static str>, Option<&'static str>, Option<Option<&'static str>>);

const TERMS: [Term; 8] = [
    ("2026-01-01", Some("HC (1H28-6H58;13H58-16H28)"), None, Some(Some("HC (1H28-6H58;13H58-16H28)"))),
    (
        "2026-10-20",
        Some("HC ETE (2H10-7H00;11H00-17H00) HC HIVER (22H37-6H37)"),
        None,
        Some(Some("HC ETE (2H10-7H00;11H00-17H00) HC HIVER (22H37-6H37)")),
    ),
    ("2026-11-03", Some(""), Some("BTINFCUST"), Some(None)),
    // Empty though the tariff has hours: it is not known when.
    ("2026-11-04", Some(""), Some("BTINFCUDT"), None),
    ("2026-11-05", Some("HC sauf dimanche"), Some("BTINFCUDT"), None),
    ("2026-11-07", None, Some("BTINFCUST"), Some(None)),
    ("2026-11-09", None, Some("BTINFCUDT"), None),
    ("2026-11-11", Some(" "), None, Some(None)),
];

async fn contract<H: Host>(world: &World<H>, from: &str, text: Option<&str>, tariff: Option<&str>) {
    let quoted = |text: Option<&str>| text.map_or("NULL".to_owned(), |text| format!("'{text}'"));
    let (from, text, tariff) = (H::literal(day(from)), quoted(text), quoted(tariff));
    let insert = "INSERT INTO contract (meter, direction, valid_from, distribution_tariff, offpeak_hours) VALUES";
    world.host.run(&format!("{insert} (1, 0, {from}, {tariff}, {text})")).await;
}

async fn intervals_and_days_are_divided_by_the_hours_of_the_contract_in_force<H: Host>() {
    let world = World::<H>::new().await;
    for (from, text, tariff, _) in TERMS {
        contract(&world, from, text, tariff).await;
    }
    world.store.set_up(&setup()).await.unwrap();
    world.store.set_up(&setup()).await.unwrap();
    // Both changes of the clock, the change of seasons, and every length of interval.
    let spans = [
        ("2025-12-30", "2026-01-02", 30),
        ("2026-03-28", "2026-03-31", 60),
        ("2026-10-24", "2026-10-27", 10),
        ("2026-10-30", "2026-11-02", 15),
        ("2026-11-02", "2026-11-12", 30),
    ];
    for (first, end, minutes) in spans {
        let span = days(first, end);
        let points = curve(span, minutes, |start| 100 + start / 600 % 977);
        world.store_curve(span, points.clone()).await;
        for day in span.iter() {
            let term = TERMS.iter().rev().find(|(from, ..)| super::day(from) <= day);
            let meaning =
                term.and_then(|(.., meaning)| *meaning).map(|text| text.map(|t| OffPeak::parse(t).unwrap().unwrap()));
            let own: Vec<CurvePoint> =
                points.iter().filter(|point| paris::day_of(point.interval.start) == day).copied().collect();
            let class = |point: &CurvePoint| match &meaning {
                None => "-",
                Some(None) => "BASE",
                Some(Some(hours)) => hours.class(point.interval).code(),
            };
            let classes: Vec<&str> = own.iter().map(class).collect();
            let of = format!("FROM v_load_curve WHERE day = '{day}' AND direction = 'consumption'");
            let shown = world.rows(&format!("SELECT tariff_class {of} ORDER BY starts_epoch")).await;
            assert_eq!(shown, classes, "{day}");
            let split = match &meaning {
                Some(Some(hours)) => {
                    let split = hours.split(&own)[0];
                    // Rounded; there are no halves, only thirds.
                    let hundredths = |joules: i64| ((joules + 18) / 36).to_string();
                    format!("{}|{}", hundredths(split.peak_joules), hundredths(split.off_peak_joules))
                }
                _ => "-|-".to_owned(),
            };
            let hundredths = |column| format!("CAST(round({column} * 100) AS bigint)");
            let (hp, hc) = (hundredths("hp_wh"), hundredths("hc_wh"));
            assert_eq!(world.one(&format!("SELECT {hp}, {hc} FROM v_daily WHERE day = '{day}'")).await, split, "{day}");
        }
    }
    // A day of which the curve is not whole has none.
    world.window("2026-10-01", "2026-11-24").await;
    let span = days("2026-10-05", "2026-10-06");
    let mut points = curve(span, 30, |_| 1);
    points.pop();
    world.store_curve(span, points).await;
    world.store_values(Dataset::DailyConsumption, span, energy(span, |_| 9)).await;
    assert_eq!(world.one("SELECT consumption_wh, hp_wh, hc_wh FROM v_daily WHERE day = '2026-10-05'").await, "9|-|-");
    world.sound().await;
}

async fn what_registers_counted_comes_before_the_curve<H: Host>() {
    let world = World::<H>::new().await;
    contract(&world, "2026-01-01", Some("HC (22H00-6H00)"), None).await;
    world.store.set_up(&setup()).await.unwrap();
    let span = days("2026-11-20", "2026-11-23");
    world.store_curve(span, curve(span, 30, |_| 240)).await;
    // Of the 22nd the distributor's calendar tells other classes apart.
    let at = days("2026-11-20", "2026-11-22");
    let wh = |day: Day| 5_700 * i64::from(day.number());
    world.store_values(Dataset::ConsumptionIndex, at, Values::Registers(registers(at, "HP", wh))).await;
    let later = days("2026-11-22", "2026-11-24");
    world.store_values(Dataset::ConsumptionIndex, later, Values::Registers(registers(later, "HPB", wh))).await;
    assert_eq!(
        world.rows("SELECT day, hp_wh, hc_wh FROM v_daily ORDER BY day").await,
        ["2026-11-20|3800|1900", "2026-11-21|3840|1920", "2026-11-22|3840|1920"]
    );
}

async fn a_day_is_reconciled_with_whatever_is_there<H: Host>() {
    let world = World::<H>::new().await;
    let span = days("2026-11-20", "2026-11-22");
    world.store_curve(span, curve(span, 30, |_| 200)).await;
    let metered = days("2026-11-20", "2026-11-23");
    world.store_values(Dataset::DailyConsumption, metered, energy(metered, |_| 4_810)).await;
    let mut all = registers(days("2026-11-20", "2026-11-25"), "HP", |day| 4_815 * i64::from(day.number()));
    // Without the total, from some midnight on.
    all.retain(|reading| reading.read_at < paris::start_of(day("2026-11-22")) || reading.register != "EAS T");
    world.store_values(Dataset::ConsumptionIndex, days("2026-11-20", "2026-11-25"), Values::Registers(all)).await;
    assert_eq!(
        world.rows("SELECT day, daily_wh, curve_wh, index_wh, deviation_wh FROM v_reconciliation ORDER BY day").await,
        [
            "2026-11-20|4810|4800|4815|-15",
            "2026-11-21|4810|4800|4815|-15",
            "2026-11-22|4810|-|4815|5",
            "2026-11-23|-|-|4815|-",
        ]
    );
}

async fn the_deviation_is_the_largest_that_there_is<H: Host>() {
    let world = World::<H>::new().await;
    // Each day the other two agree: registers, the curve, the daily value, and then the curve against registers alone.
    let span = days("2026-11-20", "2026-11-24");
    world.store_curve(span, curve(span, 30, |at| if paris::day_of(at) == day("2026-11-21") { 300 } else { 200 })).await;
    let metered = days("2026-11-20", "2026-11-23");
    let daily = |at: Day| if at == day("2026-11-22") { 1_800 } else { 4_800 };
    world.store_values(Dataset::DailyConsumption, metered, energy(metered, daily)).await;
    let shown = |at: Day| 4_800 * i64::from(at.number()) + if at > day("2026-11-20") { 4_200 } else { 0 };
    let all = registers(days("2026-11-20", "2026-11-25"), "HP", shown);
    world.store_values(Dataset::ConsumptionIndex, days("2026-11-20", "2026-11-25"), Values::Registers(all)).await;
    assert_eq!(
        world.rows("SELECT day, daily_wh, curve_wh, index_wh, deviation_wh FROM v_reconciliation ORDER BY day").await,
        [
            "2026-11-20|4800|4800|9000|4200",
            "2026-11-21|4800|7200|4800|2400",
            "2026-11-22|1800|4800|4800|3000",
            "2026-11-23|-|4800|4800|0",
        ]
    );
}

async fn classes_of_which_one_lacks_are_no_sum<H: Host>() {
    let world = World::<H>::new().await;
    let span = days("2026-11-20", "2026-11-25");
    let mut all = registers(span, "HP", |day| 4_815 * i64::from(day.number()));
    // No total anywhere, and on the 22nd no off-peak register: nothing is known of it on that day and the one before.
    let lacks = |reading: &RegisterReading| {
        reading.register == "EAS T"
            || (reading.register == "EAS D2" && reading.read_at == paris::start_of(day("2026-11-22")))
    };
    all.retain(|reading| !lacks(reading));
    world.store_values(Dataset::ConsumptionIndex, span, Values::Registers(all)).await;
    assert_eq!(
        world.rows("SELECT day, index_wh, deviation_wh FROM v_reconciliation ORDER BY day").await,
        ["2026-11-20|4815|-", "2026-11-21|-|-", "2026-11-22|-|-", "2026-11-23|4815|-"]
    );
    assert_eq!(
        world.rows("SELECT day, wh FROM v_daily_by_class WHERE day = '2026-11-21'").await,
        ["2026-11-21|3210"],
        "what there is stays to be seen"
    );
}

async fn hours_that_are_not_known_are_told_of_the_contract_in_force<H: Host>() {
    let world = World::<H>::new().await;
    for (from, text, tariff, meaning) in TERMS {
        contract(&world, from, text, tariff).await;
        world.store.set_up(&setup()).await.unwrap();
        let told = world.store.unclear_hours(None).await.unwrap();
        let unclear = UnclearHours { name: "Maison".into(), since: day(from), text: text.unwrap_or_default().into() };
        // Of a contract without any text nothing is said.
        let expected = if text.is_some() && meaning.is_none() { vec![unclear] } else { Vec::new() };
        assert_eq!(told, expected, "{from}");
        assert_eq!(world.store.unclear_hours(Some(METER)).await.unwrap(), told);
        assert_eq!(world.store.unclear_hours(Some(MeterId(99))).await.unwrap(), []);
    }
}

async fn hours_that_an_earlier_version_did_not_understand_are_read_anew<H: Host>() {
    let world = World::<H>::new().await;
    contract(&world, "2026-01-01", Some("HC sauf dimanche"), Some("BTINFCUDT")).await;
    contract(&world, "2026-02-01", Some("HC (22H00-6H00)"), Some("BTINFCUDT")).await;
    world.store.set_up(&setup()).await.unwrap();
    let kinds = "SELECT o.kind, count(s.text) FROM offpeak o LEFT JOIN offpeak_slot s ON s.text = o.text \
                 GROUP BY o.text, o.kind ORDER BY o.kind";
    // In both seasons, before and after midnight.
    assert_eq!(world.rows(kinds).await, ["0|0", "2|4"]);
    world.host.run("DELETE FROM offpeak_slot").await;
    world.host.run("UPDATE offpeak SET kind = 0").await;
    world.store.set_up(&setup()).await.unwrap();
    assert_eq!(world.rows(kinds).await, ["0|0", "2|4"]);
    assert_eq!(world.store.unclear_hours(None).await.unwrap(), []);
}
