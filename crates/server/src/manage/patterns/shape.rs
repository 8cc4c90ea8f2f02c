//! The shapes of a pattern's parts in the OpenAPI document.

use serde::Deserialize;
use utoipa::ToSchema;

use crate::manage::keys::policy::{CountriesShape, NetworksShape, TimesShape};

/// What a call must be like to be meant: at least one condition, and all that are said together.
#[derive(Deserialize, ToSchema)]
#[schema(as = PatternConditions)]
#[allow(dead_code, reason = "the core's own type reads it; this is its shape in the OpenAPI document")]
pub(super) struct ConditionsShape {
    /// Its method is one of these.
    methods: Option<Vec<String>>,
    /// Its path is one that one of these stands for, such as `/pets/{id}` or `/pets/**`.
    paths: Option<Vec<String>>,
    /// It has these header fields.
    headers: Option<Vec<HeaderShape>>,
    /// It comes from an address that these admit.
    networks: Option<NetworksShape>,
    /// It comes from a country that these admit.
    countries: Option<CountriesShape>,
    /// It comes in these hours.
    times: Option<TimesShape>,
}

/// A header field. One that comes several times with values that matter is taken for unknown.
#[derive(Deserialize, ToSchema)]
#[schema(as = PatternHeader)]
#[allow(dead_code, reason = "the core's own type reads it; this is its shape in the OpenAPI document")]
struct HeaderShape {
    /// Its name; none that holds secrets, such as `authorization` or `cookie`.
    #[schema(example = "x-client")]
    name: String,
    /// What it may say, in which `*` stands for any characters; anything, if nothing is said.
    #[schema(example = json!(["mobile/*"]))]
    values: Option<Vec<String>>,
}
