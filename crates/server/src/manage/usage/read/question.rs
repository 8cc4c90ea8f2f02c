//! What is asked about usage.

use data_encoding::BASE64URL_NOPAD;
use keystile_core::code::Code;
use keystile_core::country::Country;
use keystile_core::id::{ApiId, KeyId, ProjectId};
use keystile_core::time::Timestamp;
use keystile_core::usage::{Bucket, Facet, Percentile};
use keystile_store::{GroupBy, Order, UsageQuery};
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::filters::{Filters, filters};
use super::super::names::counted_for;
use super::super::span::span;
use crate::manage::app::{App, found};
use crate::manage::caller::Asker;
use crate::manage::problem::{internal, invalid};
use crate::manage::statuses::Statuses;
use crate::problem::Problem;

const DEFAULT_LIMIT: u32 = 1_000;
const MAX_LIMIT: u32 = 10_000;
/// Days of which percentiles of every project, key or facet are told at once.
const MAX_DAYS: i64 = 31;
/// Percentiles of one answer.
const MAX_PERCENTILES: usize = 10;

/// Which usage.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::manage::usage) struct Asked {
    /// From this moment, rounded down to whole minutes, hours or days, whichever is asked for, and by country, end user and tag to
    /// whole hours; 24 hours before `until` unless said otherwise.
    #[param(value_type = Option<String>)]
    from: Option<Timestamp>,
    /// Until this moment, rounded up in the same way; now unless said otherwise.
    #[param(value_type = Option<String>)]
    until: Option<Timestamp>,
    /// `minute`, `hour` or `day`: a row for each; without it one row for the span.
    #[param(value_type = Option<String>)]
    bucket: Option<Bucket>,
    /// What rows are told apart by: some of `api,organization,project,key,operation,code,status_class,status`, and one of `country`,
    /// `end_user` and `tag:NAME`, separated by commas. An organization is that of the project.
    group_by: Option<String>,
    /// Only this API's.
    #[param(value_type = Option<String>)]
    api_id: Option<ApiId>,
    /// Only this project's.
    #[param(value_type = Option<String>)]
    project_id: Option<ProjectId>,
    /// Only this key's, or these keys': up to 200 ids, separated by commas.
    key_id: Option<String>,
    /// Only calls with this code.
    #[param(value_type = Option<String>)]
    code: Option<Code>,
    /// Only calls that were answered with this status, such as `404`, or with one that begins alike: `4xx`.
    #[param(value_type = Option<String>)]
    status: Option<Statuses>,
    /// Only calls of this operation, such as `GET /pets/{id}`.
    operation: Option<String>,
    /// Only calls from this country, by its code of two letters.
    #[param(value_type = Option<String>)]
    country: Option<Country>,
    /// Only calls for this end user, as verification was told.
    end_user: Option<String>,
    /// Only calls with this tag, as verification was told: `NAME:VALUE`.
    tag: Option<String>,
    /// Percentiles of the latency that are told of each row, such as `50,95,99.9`; at most 10.
    percentiles: Option<String>,
    /// `previous`: what each row was in the time before, which is as long and ends where this one begins. Rows of which there was
    /// something only then come last, where all rows are on one page. A minute, hour or day that is running is compared with a whole one.
    #[param(value_type = Option<String>)]
    compare: Option<Compared>,
    /// Rows with the most of this come first: `calls`, `latency`, `bytes_in`, `bytes_out` or `cost`. They come by time and by what
    /// they are told apart by unless said otherwise.
    #[param(value_type = Option<String>)]
    order_by: Option<OrderBy>,
    /// Rows of the page, 1 to 10,000; 1,000 unless said otherwise.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// With what rows are compared.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Compared {
    /// With the time before.
    Previous,
}

/// What rows with the most of come first.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum OrderBy {
    Calls,
    Latency,
    BytesIn,
    BytesOut,
    Cost,
}

/// What was asked, as it is understood.
pub(super) struct Question {
    /// One row more than is shown: whether there is a next page.
    pub(super) query: UsageQuery,
    pub(super) percentiles: Vec<Percentile>,
    /// Whether it is compared with the time before.
    pub(super) compares: bool,
    /// Whether so much is read for it that it waits for its turn.
    pub(super) costly: bool,
}

/// Understands a question.
///
/// # Errors
/// If it makes no sense, or is about something that is not the asker's.
pub(super) async fn understood(app: &App, asker: &Asker, asked: &Asked) -> Result<Question, Problem> {
    let span = span(app.now(), (asked.from, asked.until))?;
    let limit = asked.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(invalid(format!("limit is 1 to {MAX_LIMIT}.")));
    }
    let after = match &asked.cursor {
        None => 0,
        Some(text) => BASE64URL_NOPAD
            .decode(text.as_bytes())
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .map(u64::from_be_bytes)
            .ok_or_else(|| invalid("cursor is no next_cursor of this answer; leave it out to begin anew."))?,
    };
    let by = group_by(asked.group_by.as_deref())?;
    let only = only(asked)?;
    let percentiles = percentiles(asked.percentiles.as_deref())?;
    refuse_uncounted(asked, &by, only.as_ref())?;
    let mut keys = keys(asked.key_id.as_deref())?;
    let one = if keys.len() == 1 { keys.pop() } else { None };
    let of = filters(app, asker, (asked.api_id, asked.project_id, one)).await?;
    let keys = numbers(app, asker, &keys).await?;
    // What was found to be the caller's own is shown whole; without such a filter, what is counted for the caller. End users and tags
    // are what an API's owner tells of its own calls, whosever they are.
    let facet = only.as_ref().map(|(facet, _)| facet).or(by.facet.as_ref());
    let is_told = matches!(facet, Some(Facet::EndUser | Facet::Tag(_)));
    let organizations =
        if is_told || (of == Filters::default() && keys.is_empty()) { counted_for(asker.owner) } else { Vec::new() };
    let has_percentiles = !percentiles.is_empty();
    let costly = by.consumer || facet.is_some() || (has_percentiles && (by.project || by.key));
    if costly && has_percentiles && of.project.or(of.key).is_none() && keys.is_empty() {
        refuse_long(span)?;
    }
    let consumers = match by.consumer {
        true => app.catalog.projects_organizations().await.map_err(|error| internal(&error))?,
        false => Vec::new(),
    };
    let order = asked.order_by.map(|order| match order {
        OrderBy::Calls => Order::Calls,
        OrderBy::Latency => Order::Latency,
        OrderBy::BytesIn => Order::BytesIn,
        OrderBy::BytesOut => Order::BytesOut,
        OrderBy::Cost => Order::Cost,
    });
    let query = UsageQuery {
        bucket: asked.bucket,
        by,
        api: of.api,
        project: of.project,
        key: of.key,
        keys,
        code: asked.code,
        statuses: asked.status.map(|statuses| (statuses.range().0, statuses.range().1 + 1)),
        label: asked.operation.clone(),
        only,
        consumers,
        latencies: has_percentiles,
        order,
        organizations,
        after,
        limit: limit + 1,
        ..UsageQuery::of(span)
    };
    Ok(Question { query, percentiles, compares: asked.compare.is_some(), costly })
}

/// Keys that one question is about.
const MAX_KEYS: usize = 200;

/// The keys that are asked about.
fn keys(text: Option<&str>) -> Result<Vec<KeyId>, Problem> {
    let ids = text.into_iter().flat_map(|text| text.split(',')).map(|id| id.trim().parse::<KeyId>());
    let ids: Vec<KeyId> = ids.collect::<Result<_, _>>().map_err(|error| invalid(format!("key_id: {error}.")))?;
    if ids.len() > MAX_KEYS { Err(invalid(format!("key_id is at most {MAX_KEYS} keys."))) } else { Ok(ids) }
}

/// Their numbers, all of them the asker's.
async fn numbers(app: &App, asker: &Asker, ids: &[KeyId]) -> Result<Vec<u32>, Problem> {
    let mut numbers = Vec::with_capacity(ids.len());
    for id in ids {
        numbers.push(found(app.catalog.key_number(asker.organization, *id).await, "key")?);
    }
    Ok(numbers)
}

/// Percentiles of every project or key by itself are those of as many sketches as there are rows.
fn refuse_long((from, until): (Timestamp, Timestamp)) -> Result<(), Problem> {
    if until.as_secs().saturating_sub(from.as_secs()) > MAX_DAYS * Bucket::Day.secs() {
        return Err(invalid(format!(
            "Percentiles by organization, project, key, country, end user or tag are told of at most {MAX_DAYS} days at once; ask \
             about a shorter time, or about one project or key."
        )));
    }
    Ok(())
}

/// Countries, end users and tags are counted one at a time, by the hour, and not by operation.
fn refuse_uncounted(asked: &Asked, by: &GroupBy, only: Option<&(Facet, String)>) -> Result<(), Problem> {
    let (Some(facet), group) = (only.map(|(facet, _)| facet).or(by.facet.as_ref()), by.facet.as_ref()) else {
        return Ok(());
    };
    if group.is_some_and(|group| group != facet) {
        return Err(invalid(format!(
            "Calls are not counted by {facet} and {} together; ask about one of them.",
            group.map_or_else(String::new, ToString::to_string)
        )));
    }
    if by.label || asked.operation.is_some() {
        return Err(invalid(format!(
            "Calls are not counted by {facet} and operation together; ask about one of them."
        )));
    }
    if asked.bucket == Some(Bucket::Minute) {
        return Err(invalid(format!(
            "Calls are counted by {facet} for each hour and day; ask with one of these as bucket."
        )));
    }
    Ok(())
}

/// The one facet of which only a value is asked about.
fn only(asked: &Asked) -> Result<Option<(Facet, String)>, Problem> {
    let tag = asked.tag.as_deref().map(|tag| {
        let sound = tag
            .split_once(':')
            .and_then(|(name, value)| Some((format!("tag:{name}").parse::<Facet>().ok()?, value.to_owned())));
        sound.ok_or_else(|| invalid("tag is NAME:VALUE, as verification was told."))
    });
    let texts = [&asked.end_user, &asked.tag, &asked.operation];
    if texts.iter().any(|text| text.as_deref().is_some_and(|text| text.contains(char::is_control))) {
        return Err(invalid("end_user, tag and operation have no control characters."));
    }
    let country = asked.country.map(|country| (Facet::Country, country.to_string()));
    let end_user = asked.end_user.clone().map(|name| (Facet::EndUser, name));
    let mut all = country.into_iter().chain(end_user).chain(tag.transpose()?);
    let (first, second) = (all.next(), all.next());
    if second.is_some() {
        return Err(invalid("Calls are counted by country, end user and tag apart; ask about one of them."));
    }
    Ok(first)
}

fn group_by(text: Option<&str>) -> Result<GroupBy, Problem> {
    let mut by = GroupBy::default();
    for word in text.unwrap_or_default().split(',').filter(|word| !word.is_empty()) {
        match word {
            "api" => by.api = true,
            "organization" => by.consumer = true,
            "project" => by.project = true,
            "key" => by.key = true,
            "operation" => by.label = true,
            "code" => by.code = true,
            "status_class" => by.class = true,
            "status" => by.status = true,
            _ => match word.parse::<Facet>() {
                Ok(facet) if by.facet.as_ref().is_none_or(|other| *other == facet) => by.facet = Some(facet),
                Ok(_) => {
                    return Err(invalid("group_by takes one of country, end_user and tag:NAME at a time."));
                }
                Err(_) => {
                    return Err(invalid(
                        "group_by takes api, organization, project, key, operation, code, status_class, status, and one of \
                         country, end_user and tag:NAME, separated by commas.",
                    ));
                }
            },
        }
    }
    Ok(by)
}

fn percentiles(text: Option<&str>) -> Result<Vec<Percentile>, Problem> {
    let read = text.unwrap_or_default().split(',').filter(|word| !word.is_empty()).map(str::parse);
    let mut all =
        read.collect::<Result<Vec<Percentile>, _>>().map_err(|error| invalid(format!("percentiles: {error}.")))?;
    all.sort_unstable();
    all.dedup();
    if all.len() > MAX_PERCENTILES {
        return Err(invalid(format!("At most {MAX_PERCENTILES} percentiles are told at once.")));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_facet_is_taken_at_a_time() {
        let by = group_by(Some("api,organization,tag:region,status_class,tag:region")).ok().unwrap();
        let facet = by.facet.as_ref().map(ToString::to_string);
        assert_eq!((by.api, by.consumer, by.class, facet.as_deref()), (true, true, true, Some("tag:region")));
        for text in ["country,end_user", "tag:a,tag:b", "tag:", "tag:A", "tag", "keys", "Key"] {
            assert!(group_by(Some(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn percentiles_come_in_order_and_once() {
        let all = percentiles(Some("99,50,99.0")).ok().unwrap();
        assert_eq!(all.iter().map(ToString::to_string).collect::<Vec<_>>(), ["50", "99"]);
        assert!(percentiles(Some("1,2,3,4,5,6,7,8,9,10,11")).is_err());
        assert!(percentiles(Some("p50")).is_err());
    }
}
