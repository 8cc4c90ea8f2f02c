//! `--label` and `--metadata`: what owners write on their things.

use clap::Args;
use keystile_core::metadata::{Label, Metadata};
use serde_json::json;

use super::session::Fields;

/// What is written on a thing.
#[derive(Debug, Args)]
pub(super) struct TagArgs {
    /// A word that it is found by, such as team:billing; repeat for several. They replace those it has.
    #[arg(long = "label", value_name = "LABEL")]
    labels: Vec<Label>,
    /// A JSON object that your programs understand, such as {"plan":"gold"}. It replaces the one it has.
    #[arg(long, value_name = "JSON", value_parser = metadata)]
    metadata: Option<Metadata>,
}

impl TagArgs {
    /// Says it in a request, if anything was said.
    pub(super) fn put(self, fields: Fields) -> Fields {
        fields
            .with("labels", (!self.labels.is_empty()).then(|| json!(self.labels)))
            .with("metadata", self.metadata.map(|metadata| metadata.fields().clone()))
    }
}

fn metadata(text: &str) -> Result<Metadata, String> {
    serde_json::from_str(text).map_err(|error| format!("{error}; metadata is a JSON object"))
}
