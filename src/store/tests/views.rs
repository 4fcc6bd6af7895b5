//! What dashboards see.

use super::*;

on_both_engines! {
    the_views_have_the_columns_of_the_contract,
    intervals_show_utc_paris_and_energy,
    an_hour_says_how_much_of_it_is_covered,
    a_day_never_sums_the_curve_as_if_it_were_metered,
    freshness_has_a_line_for_each_series_from_the_first_pass,
}

/// The columns of each view, as the contract lists them.
const COLUMNS: [(&str, &str); 14] = [
    (
        "v_load_curve",
        "prm,meter,direction,starts_at,starts_epoch,ends_at,starts_local,day,minutes,watts,wh,tariff_class,source",
    ),
    ("v_hourly", "prm,meter,direction,starts_at,starts_epoch,starts_local,day,wh,minutes"),
    (
        "v_daily",
        "prm,meter,day,day_epoch,consumption_wh,production_wh,max_power_va,max_power_at,curve_consumption_wh,curve_production_wh,hp_wh,hc_wh,best_consumption_wh,consumption_basis,subscribed_kva",
    ),
    (
        "v_monthly",
        "prm,meter,month,year,month_number,consumption_wh,production_wh,max_power_va,days_in_month,consumption_days,production_days",
    ),
    (
        "v_yearly",
        "prm,meter,year,consumption_wh,production_wh,max_power_va,days_in_year,consumption_days,production_days",
    ),
    ("v_coverage", "prm,meter,dataset,day,day_epoch,state,intervals_stored,intervals_expected,checked_at,next_try_at"),
    ("v_gap", "prm,meter,dataset,first_day,last_day,days,state"),
    ("v_freshness", "prm,meter,dataset,newest_day,lag_days,state,last_success_at,last_error_code,last_error"),
    ("v_call", "called_at,source,api,prm,dataset,start_day,end_day,status,error_code,row_count,duration_ms"),
    ("v_revision", "prm,dataset,starts_at,old_value,new_value,seen_at,register"),
    ("v_index", "prm,meter,direction,read_at,calendar,tariff_class,register,wh"),
    ("v_daily_by_class", "prm,meter,direction,day,calendar,tariff_class,wh"),
    ("v_reconciliation", "prm,meter,direction,day,daily_wh,curve_wh,index_wh,deviation_wh"),
    ("v_meter", "prm,meter,source,segment,subscribed_kva,distribution_tariff,offpeak_hours,activated_on,consent_until"),
];

async fn the_views_have_the_columns_of_the_contract<H: Host>() {
    let world = World::<H>::new().await;
    for (view, columns) in COLUMNS {
        assert_eq!(world.host.columns(view).await.join(","), columns);
    }
    let mut views = COLUMNS.map(|(view, _)| view);
    views.sort_unstable();
    assert_eq!(world.host.views().await, views);
}

async fn intervals_show_utc_paris_and_energy<H: Host>() {
    let world = World::<H>::new().await;
    let change = days("2026-10-25", "2026-10-26");
    world.store_curve(change, curve(change, 30, |_| 901)).await;
    let rows = world.rows("SELECT starts_at, ends_at, starts_local, day, minutes, watts, wh, source FROM v_load_curve ORDER BY starts_epoch").await;
    assert_eq!(rows.len(), 50);
    assert_eq!(rows[0], "2026-10-24T22:00:00Z|2026-10-24T22:30:00Z|2026-10-25T00:00:00|2026-10-25|30|901|450.5|enedis");
    assert_eq!(rows[5], "2026-10-25T00:30:00Z|2026-10-25T01:00:00Z|2026-10-25T02:30:00|2026-10-25|30|901|450.5|enedis");
    assert_eq!(rows[6], "2026-10-25T01:00:00Z|2026-10-25T01:30:00Z|2026-10-25T02:00:00|2026-10-25|30|901|450.5|enedis");
    assert_eq!(
        rows[49],
        "2026-10-25T22:30:00Z|2026-10-25T23:00:00Z|2026-10-25T23:30:00|2026-10-25|30|901|450.5|enedis"
    );
    let hours = world.rows("SELECT starts_at, starts_local, day, wh, minutes FROM v_hourly WHERE prm = '01234567890123' ORDER BY starts_epoch").await;
    assert_eq!(hours.len(), 25);
    assert_eq!(hours[2], "2026-10-25T00:00:00Z|2026-10-25T02:00:00|2026-10-25|901|60");
    assert_eq!(hours[3], "2026-10-25T01:00:00Z|2026-10-25T02:00:00|2026-10-25|901|60");
    world.sound().await;
}

async fn an_hour_says_how_much_of_it_is_covered<H: Host>() {
    let world = World::<H>::new().await;
    let span = days("2026-11-20", "2026-11-21");
    let mut points = curve(span, 10, |start| start % 7);
    points.truncate(3);
    world.store_curve(span, points).await;
    assert_eq!(world.one("SELECT minutes FROM v_hourly").await, "30");
}

async fn a_day_never_sums_the_curve_as_if_it_were_metered<H: Host>() {
    let world = World::<H>::new().await;
    world.window("2026-11-10", "2026-11-24").await;
    let span = days("2026-11-20", "2026-11-23");
    let mut points = curve(span, 30, |_| 200);
    points.pop();
    world.store_curve(span, points).await;
    let metered = days("2026-11-21", "2026-11-24");
    world.store_values(Dataset::DailyConsumption, metered, energy(metered, |_| 4810)).await;
    let production = days("2026-11-19", "2026-11-20");
    world.store_values(Dataset::DailyProduction, production, energy(production, |_| 7)).await;
    world.store_values(Dataset::DailyMaxPower, metered, peaks(metered, 5170)).await;
    let columns = "day, day_epoch, consumption_wh, production_wh, max_power_va, max_power_at, curve_consumption_wh, best_consumption_wh, consumption_basis, hp_wh, subscribed_kva";
    assert_eq!(
        world.rows(&format!("SELECT {columns} FROM v_daily WHERE meter = 'Maison' ORDER BY day")).await,
        [
            "2026-11-19|1795042800|-|7|-|-|-|-|-|-|-",
            "2026-11-20|1795129200|-|-|-|-|4800|4800|curve|-|-",
            "2026-11-21|1795215600|4810|-|5170|2026-11-21T18:00:00Z|4800|4810|daily|-|-",
            "2026-11-22|1795302000|4810|-|5170|2026-11-22T18:00:00Z|-|4810|daily|-|-",
            "2026-11-23|1795388400|4810|-|5170|2026-11-23T18:00:00Z|-|4810|daily|-|-",
        ]
    );
    assert_eq!(
        world.rows("SELECT direction, day, daily_wh, curve_wh, index_wh, deviation_wh FROM v_reconciliation ORDER BY direction, day").await,
        [
            "consumption|2026-11-20|-|4800|-|-",
            "consumption|2026-11-21|4810|4800|-|-10",
            "consumption|2026-11-22|4810|-|-|-",
            "consumption|2026-11-23|4810|-|-|-",
            "production|2026-11-19|7|-|-|-",
        ]
    );
    assert_eq!(
        world.rows("SELECT * FROM v_monthly").await,
        ["01234567890123|Maison|2026-11-01|2026|11|14430|7|5170|30|3|1"]
    );
    assert_eq!(world.rows("SELECT * FROM v_yearly").await, ["01234567890123|Maison|2026|14430|7|5170|365|3|1"]);
}

async fn freshness_has_a_line_for_each_series_from_the_first_pass<H: Host>() {
    let world = World::<H>::new().await;
    world.window("2026-11-10", "2026-11-24").await;
    assert_eq!(world.one("SELECT count(*) FROM v_freshness").await, Dataset::ALL.len().to_string());
    let row =
        "SELECT newest_day, lag_days, state, last_success_at FROM v_freshness WHERE dataset = 'consumption_load_curve'";
    assert_eq!(world.one(row).await, "-|-|ok|-");
    let span = days("2026-11-20", "2026-11-24");
    world.store_curve(span, curve(span, 30, |_| 1)).await;
    assert_eq!(world.one(row).await, "2026-11-23|0|ok|2026-11-24T07:03:00Z");
    world.window("2026-11-11", "2026-11-26").await;
    assert_eq!(world.one(row).await, "2026-11-23|2|ok|2026-11-24T07:03:00Z");
}
