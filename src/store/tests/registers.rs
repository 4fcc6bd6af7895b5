//! Registers, and the energy of days by class that is made of them.

use super::*;
use crate::domain::registers::Doubt;

on_both_engines! {
    a_day_is_complete_with_the_midnight_that_opens_it,
    energy_by_class_follows_from_whatever_lies_around,
    a_register_that_changes_is_a_revision_that_names_it,
    what_is_odd_about_registers_is_told_once,
}

const INDEX: Dataset = Dataset::ConsumptionIndex;
const BY_CLASS: &str = "SELECT day, calendar, tariff_class, wh FROM v_daily_by_class ORDER BY day, tariff_class";

/// 900 Wh a day, of which a third is off-peak.
fn steady(first: &str, end: &str) -> Values {
    Values::Registers(registers(days(first, end), "HP", |day| 900 * i64::from(day.number())))
}

async fn a_day_is_complete_with_the_midnight_that_opens_it<H: Host>() {
    let world = World::<H>::new().await;
    world.window("2026-11-10", "2026-11-24").await;
    let committed =
        world.store_values(INDEX, days("2026-11-20", "2026-11-22"), steady("2026-11-20", "2026-11-21")).await;
    assert_eq!((committed.inserted, committed.changed), (3, 0));
    assert_eq!(world.state(INDEX, "2026-11-20").await, DayState::Complete);
    assert_eq!(world.state(INDEX, "2026-11-21").await, DayState::Pending);
    assert_eq!(
        world
            .rows("SELECT direction, read_at, calendar, tariff_class, register, wh > 0 FROM v_index ORDER BY register")
            .await,
        [
            "consumption|2026-11-19T23:00:00Z|DI000002|HP|EAS D1|1",
            "consumption|2026-11-19T23:00:00Z|DI000002|HC|EAS D2|1",
            "consumption|2026-11-19T23:00:00Z|-|TOTAL|EAS T|1",
        ]
    );
    // One midnight says nothing about energy.
    assert_eq!(world.rows(BY_CLASS).await, Vec::<String>::new());
    // A reading that a technician takes makes no day.
    let mut special = registers(days("2026-11-21", "2026-11-22"), "HP", |_| 1);
    for reading in &mut special {
        (reading.daily, reading.read_at) = (false, reading.read_at + 36_000);
    }
    world.store_values(INDEX, days("2026-11-21", "2026-11-22"), Values::Registers(special)).await;
    assert_eq!(world.state(INDEX, "2026-11-21").await, DayState::Pending);
    assert_eq!(world.one("SELECT count(*) FROM v_index").await, "6");
    world.sound().await;
}

async fn energy_by_class_follows_from_whatever_lies_around<H: Host>() {
    let world = World::<H>::new().await;
    world.window("2026-11-10", "2026-11-24").await;
    // Newest first, as history is fetched; the midnight at the end of a span comes with it or does not.
    world.store_values(INDEX, days("2026-11-21", "2026-11-23"), steady("2026-11-21", "2026-11-24")).await;
    let day = |day: &str| {
        ["HC|300", "HP|600", "TOTAL|900"].map(|class| {
            let calendar = if class.starts_with('T') { "-" } else { "DI000002" };
            format!("{day}|{calendar}|{class}")
        })
    };
    assert_eq!(world.rows(BY_CLASS).await, [day("2026-11-21"), day("2026-11-22")].concat());
    world.store_values(INDEX, days("2026-11-19", "2026-11-21"), steady("2026-11-19", "2026-11-21")).await;
    let all = [day("2026-11-19"), day("2026-11-20"), day("2026-11-21"), day("2026-11-22")].concat();
    assert_eq!(world.rows(BY_CLASS).await, all);
    // The same once more changes nothing.
    let again = world.store_values(INDEX, days("2026-11-19", "2026-11-21"), steady("2026-11-19", "2026-11-21")).await;
    assert_eq!((again.inserted, again.changed), (0, 0));
    assert_eq!(world.rows(BY_CLASS).await, all);
    world.sound().await;
}

async fn a_register_that_changes_is_a_revision_that_names_it<H: Host>() {
    let world = World::<H>::new().await;
    world.window("2026-11-10", "2026-11-24").await;
    let span = days("2026-11-20", "2026-11-23");
    world.store_values(INDEX, span, steady("2026-11-20", "2026-11-23")).await;
    let Values::Registers(mut readings) = steady("2026-11-21", "2026-11-22") else { panic!("registers") };
    readings[1].wh -= 100;
    let committed = world.store_values(INDEX, days("2026-11-21", "2026-11-22"), Values::Registers(readings)).await;
    assert_eq!((committed.inserted, committed.changed), (0, 1));
    assert_eq!(
        world.rows("SELECT dataset, starts_at, old_value - new_value, register FROM v_revision").await,
        ["consumption_index|2026-11-20T23:00:00Z|100|DI000002 HP EAS D1"]
    );
    assert_eq!(
        world.rows("SELECT day, wh FROM v_daily_by_class WHERE tariff_class = 'HP' ORDER BY day").await,
        ["2026-11-20|500", "2026-11-21|700"]
    );
    let doubts = [("2026-11-20", Doubt::ClassesDisagree), ("2026-11-21", Doubt::ClassesDisagree)];
    assert_eq!(committed.doubts, doubts.map(|(text, doubt)| (day(text), doubt)));
    world.sound().await;
}

async fn what_is_odd_about_registers_is_told_once<H: Host>() {
    let world = World::<H>::new().await;
    world.window("2026-11-10", "2026-11-24").await;
    // On the 20th the peak register counts for another class; on the 22nd all begin anew.
    world.store_values(INDEX, days("2026-11-18", "2026-11-20"), steady("2026-11-18", "2026-11-20")).await;
    let wh = |at: Day| if at < day("2026-11-22") { 900 * i64::from(at.number()) } else { 0 };
    let changed = Values::Registers(registers(days("2026-11-20", "2026-11-23"), "HPB", wh));
    let committed = world.store_values(INDEX, days("2026-11-20", "2026-11-23"), changed.clone()).await;
    // Off-peak energy alone is not the total any more.
    let told = [
        ("2026-11-19", Doubt::CalendarChanged),
        ("2026-11-19", Doubt::ClassesDisagree),
        ("2026-11-21", Doubt::Backwards),
    ];
    assert_eq!(committed.doubts, told.map(|(text, doubt)| (day(text), doubt)));
    assert_eq!(
        world.rows("SELECT day, tariff_class, wh FROM v_daily_by_class ORDER BY day, tariff_class").await,
        [
            "2026-11-18|HC|300",
            "2026-11-18|HP|600",
            "2026-11-18|TOTAL|900",
            "2026-11-19|HC|300",
            "2026-11-19|TOTAL|900",
            "2026-11-20|HC|300",
            "2026-11-20|HPB|600",
            "2026-11-20|TOTAL|900",
            "2026-11-22|HC|0",
            "2026-11-22|HPB|0",
            "2026-11-22|TOTAL|0",
        ][..8]
    );
    let again = world.store_values(INDEX, days("2026-11-20", "2026-11-23"), changed).await;
    assert_eq!(again.doubts, []);
    world.sound().await;
}
