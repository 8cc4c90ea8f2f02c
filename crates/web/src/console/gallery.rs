//! `/ui/gallery`: every component, as pages are made of them: for whoever changes one, and for the pictures of it.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::routing::get;

use super::shell::Place;
use super::traffic::Stat;
use super::visit::Visit;
use super::{Console, Shown};
use crate::ui::chart::{Bars, Datum, Meter, Spark};
use crate::ui::html::{AsCode, Badge, Html};

pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new().route("/ui/gallery", get(show))
}

/// The page.
#[derive(Template)]
#[template(path = "console/gallery.html")]
struct Gallery {
    stats: Vec<Stat>,
    chart: Html,
    sparks: Vec<Html>,
    meters: Vec<(&'static str, Html)>,
    badges: Vec<Badge>,
    code: AsCode,
    fault: Option<String>,
    icons: Vec<String>,
}

/// The sprite of icons, whose names are in it.
const ICONS: &str = include_str!("../../assets/icons.svg");

async fn show(visit: Visit) -> Shown {
    let stat = |name, series, value: &str, aside: &str, tone| Stat {
        name,
        series,
        value: value.into(),
        aside: aside.into(),
        tone,
    };
    let data = (0_u64..24).map(|hour| Datum {
        label: format!("{hour}:00"),
        axis: hour.is_multiple_of(4).then(|| format!("{hour}:00")),
        values: vec![900 + hour * 130 % 700, hour * 7 % 90, if hour == 17 { 240 } else { hour % 5 * 9 }],
    });
    let ids = ICONS.split("symbol id=\"").skip(1).filter_map(|rest| rest.split('"').next());
    let content = Gallery {
        stats: vec![
            stat("Active keys", 0, "57", "of 64", ""),
            stat("Allowed", 1, "1.93M", "+8.2%", ""),
            stat("Rate limited", 2, "49.1k", "2.5%", ""),
            stat("Rejected", 3, "34.4k", "+31%", "down"),
        ],
        chart: Html::of(&Bars::new("Requests per hour", &["Allowed", "Rate limited", "Rejected"], data.collect())),
        sparks: [&[0, 0, 0, 0, 0][..], &[3, 5, 4, 8, 9, 12, 11], &[9, 9, 1, 9, 9, 1, 9]]
            .map(|values| Html::of(&Spark::new(values)))
            .into(),
        meters: vec![
            ("A third is used", Html::of(&Meter::new(1, 3))),
            ("Nearly used up", Html::of(&Meter::new(9, 10))),
            ("Used up", Html::of(&Meter::new(10, 10))),
        ],
        badges: [("ok", "Active"), ("warn", "Expires in 3 days"), ("bad", "Leaked"), ("off", "Never used")]
            .map(|(tone, text)| Badge::new(tone, text))
            .into(),
        code: AsCode::new(
            "keystile key create --project PROJECT --name worker".into(),
            &visit.origin,
            "POST",
            "/v1/keys",
            None,
        ),
        fault: Some("Rate limit is a whole number, such as 600.".into()),
        icons: ids.map(str::to_owned).collect(),
    };
    Ok(visit.page(Place::None, "Components", &content))
}
