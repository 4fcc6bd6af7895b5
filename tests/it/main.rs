//! The integration tests: one binary, one module a topic, all against the simulator.

#[cfg(test)]
mod activation;
#[cfg(test)]
mod architecture;
#[cfg(test)]
mod backfill;
#[cfg(test)]
mod catalogue;
#[cfg(test)]
mod cli_authorize;
#[cfg(test)]
mod cli_commands;
#[cfg(test)]
mod cli_database;
#[cfg(test)]
mod cli_doctor;
#[cfg(test)]
mod cli_gateways;
#[cfg(test)]
mod cli_logs;
#[cfg(test)]
mod cli_mistakes;
#[cfg(test)]
mod cli_rig;
#[cfg(test)]
mod consents;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod customers;
#[cfg(test)]
mod customers_between;
#[cfg(test)]
mod customers_waiting;
#[cfg(test)]
mod daemon_http;
#[cfg(test)]
mod daemon_inside;
#[cfg(test)]
mod daemon_rig;
#[cfg(test)]
mod daemon_schedule;
#[cfg(test)]
mod daemon_signals;
#[cfg(test)]
mod daemon_units;
#[cfg(test)]
mod gateways;
#[cfg(test)]
mod instances;
#[cfg(test)]
mod instances_postgres;
#[cfg(test)]
mod instances_processes;
#[cfg(test)]
mod late;
#[cfg(test)]
mod personal;
#[cfg(test)]
#[path = "../postgres/server.rs"]
mod postgres;
#[cfg(test)]
mod reactions;
#[cfg(test)]
mod reactions_access;
#[cfg(test)]
mod reactions_bodies;
#[cfg(test)]
mod reactions_budget;
#[cfg(test)]
mod reactions_chaos;
#[cfg(test)]
mod reactions_limits;
#[cfg(test)]
mod reactions_quota;
#[cfg(test)]
mod reactions_requests;
#[cfg(test)]
mod reactions_token;
#[cfg(test)]
mod registers;
#[cfg(test)]
mod replay;
#[cfg(test)]
mod server;
#[cfg(test)]
mod server_daemon;
#[cfg(test)]
mod server_managed;
#[cfg(test)]
mod server_tls;
#[cfg(test)]
mod simulated_answers;
#[cfg(test)]
mod support;
