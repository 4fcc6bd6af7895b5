//! The progress bar of a pass: calls done, rows, time left. Draws on a terminal only.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::render::number;
use crate::engine::Progress;

/// A bar on standard error, invisible where that is no terminal or `quiet`.
pub(super) fn bar(quiet: bool) -> ProgressBar {
    let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr_with_hz(8) };
    let bar = ProgressBar::with_draw_target(None, target);
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} calls, {msg}{left}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .with_key("left", |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            let eta = state.eta();
            if eta > Duration::from_secs(1) {
                // A bar that cannot be written is not worth an error.
                let _ = write!(out, ", {} left", number::duration(eta));
            }
        });
    bar.set_style(style);
    bar
}

/// The same for rows of which nobody knows exactly how many there are.
pub(super) fn rows_bar(quiet: bool) -> ProgressBar {
    let bar = bar(quiet);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {percent}%, {msg}") {
        bar.set_style(style);
    }
    bar
}

/// Shows how far the copying of rows is.
pub(super) fn show_rows(bar: &ProgressBar, done: u64, total: u64) {
    if !bar.is_hidden() {
        bar.set_length(total);
        bar.set_position(done);
        bar.set_message(number::counted(i64::try_from(done).unwrap_or(i64::MAX), "row read", "rows read"));
    }
}

/// Shows how far the pass is.
pub(super) fn show(bar: &ProgressBar, progress: Progress) {
    if bar.is_hidden() {
        return;
    }
    bar.set_length(progress.done + progress.left);
    bar.set_position(progress.done);
    bar.set_message(number::counted(i64::try_from(progress.rows).unwrap_or(i64::MAX), "row", "rows"));
}
