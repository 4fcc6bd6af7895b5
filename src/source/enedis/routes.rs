//! The addresses of both APIs, and what their parameters are called.
//!
//! The table is all that tells the two apart when asking (docs/enedis.md).

use crate::domain::{Api, Dataset};

/// How one dataset is asked for.
pub(super) struct Route {
    api: Api,
    dataset: Dataset,
    /// Path below the host.
    pub(super) path: &'static str,
    /// Parameters that are always the same.
    pub(super) fixed: &'static [(&'static str, &'static str)],
}

/// The names of the parameters that all datasets of an API share.
pub(super) struct Parameters {
    /// The meter.
    pub(super) prm: &'static str,
    /// The first day.
    pub(super) start: &'static str,
    /// The day after the last one.
    pub(super) end: &'static str,
}

const fn route(api: Api, dataset: Dataset, path: &'static str) -> Route {
    Route { api, dataset, path, fixed: &[] }
}

static ROUTES: [Route; 12] = [
    route(Api::V5, Dataset::ConsumptionLoadCurve, "/metering_data_clc/v5/consumption_load_curve"),
    route(Api::V5, Dataset::ProductionLoadCurve, "/metering_data_plc/v5/production_load_curve"),
    route(Api::V5, Dataset::DailyConsumption, "/metering_data_dc/v5/daily_consumption"),
    route(Api::V5, Dataset::DailyProduction, "/metering_data_dp/v5/daily_production"),
    route(Api::V5, Dataset::DailyMaxPower, "/metering_data_dcmp/v5/daily_consumption_max_power"),
    route(Api::V2026, Dataset::ConsumptionLoadCurve, "/mesure_synchrone_auto/v2/courbe_de_charge_consommation"),
    route(Api::V2026, Dataset::ProductionLoadCurve, "/mesure_synchrone_auto/v2/courbe_de_charge_production"),
    route(Api::V2026, Dataset::DailyConsumption, "/mesure_synchrone_auto/v2/consommation_quotidienne"),
    route(Api::V2026, Dataset::DailyProduction, "/mesure_synchrone_auto/v2/production_quotidienne"),
    Route {
        api: Api::V2026,
        dataset: Dataset::DailyMaxPower,
        path: "/mesure_synchrone_auto/v2/puissance_conso_max_quotidienne",
        // One value a day, for all phases together.
        fixed: &[("mesuresPas", "P1D"), ("grandeurPhysique", "PMA")],
    },
    route(Api::V2026, Dataset::ConsumptionIndex, "/mesure_synchrone_auto/v2/index_consommation"),
    route(Api::V2026, Dataset::ProductionIndex, "/mesure_synchrone_auto/v2/index_production"),
];

/// Where the token comes from, for both APIs.
pub(super) const TOKEN: &str = "/oauth2/v3/token";

/// The route of a dataset.
pub(super) fn find(api: Api, dataset: Dataset) -> Option<&'static Route> {
    ROUTES.iter().find(|route| route.api == api && route.dataset == dataset)
}

/// The names of an API's parameters.
pub(super) fn parameters(api: Api) -> Parameters {
    match api {
        Api::V5 => Parameters { prm: "usage_point_id", start: "start", end: "end" },
        Api::V2026 => Parameters { prm: "pointId", start: "dateDebut", end: "dateFin" },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dataset_has_its_route_on_both() {
        let mut paths = Vec::new();
        for api in [Api::V5, Api::V2026] {
            paths.extend(Dataset::COMMON.map(|dataset| find(api, dataset).unwrap().path));
        }
        for dataset in [Dataset::ConsumptionIndex, Dataset::ProductionIndex] {
            assert!(find(Api::V5, dataset).is_none());
            paths.push(find(Api::V2026, dataset).unwrap().path);
        }
        paths.sort_unstable();
        paths.dedup();
        assert_eq!(paths.len(), 12);
    }
}
