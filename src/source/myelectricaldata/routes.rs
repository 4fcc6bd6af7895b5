//! The addresses of MyElectricalData version 2.

use crate::domain::{Dataset, Kind};
use crate::source::{Ask, CustomerCall};

/// Spans of curves up to this long are asked of Enedis in one piece. Longer ones go to a route that
/// splits them.
pub(super) const WHOLE: i32 = 7;

/// The meters of the account. With its slash: without it the gateway redirects, which linkyd does
/// not follow.
pub(super) const METERS: &str = "/pdl/";

/// The path of what is asked for, the meter in it.
pub(super) fn path(ask: &Ask<'_>) -> String {
    let route = match ask.span.dataset() {
        Dataset::ConsumptionLoadCurve => "consumption/detail",
        Dataset::ProductionLoadCurve => "production/detail",
        Dataset::DailyConsumption => "consumption/daily",
        Dataset::DailyProduction => "production/daily",
        Dataset::DailyMaxPower => "power",
        // It offers none, so nobody asks.
        Dataset::ConsumptionIndex | Dataset::ProductionIndex => "index",
    };
    let split = ask.span.dataset().kind() == Kind::LoadCurve && ask.span.days().len() > WHOLE;
    let batch = if split { "/batch" } else { "" };
    format!("/enedis/{route}{batch}/{}", ask.prm.full())
}

/// The path of what is asked for about a customer, without the meter; `None` where the gateway has none.
pub(super) fn of_customer(call: CustomerCall) -> Option<&'static str> {
    match call {
        CustomerCall::Bundle => Some("/enedis/contract"),
        CustomerCall::GeneralData => Some("/enedis/address"),
        _ => None,
    }
}
