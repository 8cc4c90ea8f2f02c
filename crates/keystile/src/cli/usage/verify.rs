//! `keystile usage verify`: whether what was counted is what its events come to.

use clap::Args;
use serde_json::Value;

use super::between;
use crate::cli::fault::{Exit, Fault};
use crate::cli::session::Session;
use crate::cli::table::{field, number};
use crate::cli::values::{When, signed, when};

/// Which time.
#[derive(Debug, Args)]
pub(super) struct Verify {
    /// From the day (UTC) of then on: 7d, 24h, 2027-01-31 or 2027-01-31T12:00:00Z; 24 hours ago unless given.
    #[arg(long, value_name = "WHEN", value_parser = when)]
    since: Option<When>,
    /// Until the end of the day of then, or that ends then; now unless given. At most 35 days.
    #[arg(long, value_name = "WHEN", value_parser = when)]
    until: Option<When>,
}

pub(super) fn run(ask: &Verify, session: &mut Session<'_>) -> Result<Exit, Fault> {
    let (since, until) = between(ask.since, ask.until, session.now())?;
    let query = [("from", since), ("until", until)];
    let query: Vec<(&str, &str)> = query.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))).collect();
    let verdict = session.server.get("count the usage anew", "/v1/usage/verify", &query)?;
    let is_intact = verdict["intact"] == Value::Bool(true);
    if session.global.json {
        session.screen.out(&format!("{verdict}\n"));
    } else if is_intact {
        session.screen.out(&format!(
            "intact: {} events, {} calls, {} units, from {} until {}\n",
            number(&verdict, "events"),
            number(&verdict, "calls"),
            signed(verdict["units"].as_i64().unwrap_or(0)),
            field(&verdict, "from"),
            field(&verdict, "until"),
        ));
    } else if number(&verdict, "differing") == "0" && number(&verdict, "damaged") == "0" {
        let until = field(&verdict, "until");
        session.screen.out(&format!("nothing to count: no events are kept of the time until {until}\n"));
    } else {
        session
            .screen
            .out(&format!("wrong: {} rows are not what their events come to\n", number(&verdict, "differing")));
        if number(&verdict, "damaged") != "0" {
            session.screen.out(&format!("damaged: {} rows of events can't be read\n", number(&verdict, "damaged")));
        }
        for row in verdict["differences"].as_array().into_iter().flatten() {
            let said = |of: &str| {
                let totals = &row[of];
                format!("{} calls, {} units", number(totals, "calls"), signed(totals["units"].as_i64().unwrap_or(0)))
            };
            session.screen.out(&format!(
                "  {} of {} ({} {} {} {}): counted {}, by its events {}\n",
                if row["bucket"].is_null() { "late usage".to_owned() } else { field(row, "bucket") },
                field(row, "start"),
                field(row, "project_id"),
                field(row, "api_id"),
                field(row, "operation"),
                field(row, "code"),
                said("counted"),
                said("recounted"),
            ));
        }
    }
    Ok(if is_intact { Exit::Ok } else { Exit::Findings })
}
