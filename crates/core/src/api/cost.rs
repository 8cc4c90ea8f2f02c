//! What calls of an API cost: 1 each, unless its owner says otherwise for single operations, for all that call it or in a plan, or
//! its upstream says so in each answer (PRODUCT.md K27).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{NamedOperation, SettingError, as_text, wrong};
use crate::limit::MAX_LIMIT;
use crate::method::Method;
use crate::operation::OperationTable;

/// Most operations of one API, or of one plan, that have a cost of their own.
const MAX_OPERATION_COSTS: usize = 1_000;

/// What one operation costs. As JSON `{"operation": "POST /images", "cost": 10}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperationCost {
    /// Which operation.
    pub operation: NamedOperation,
    /// What a call of it costs; 0 for nothing.
    pub cost: u32,
}

/// What operations cost, for being looked up.
#[derive(Debug)]
pub struct Costs {
    table: OperationTable,
    /// In the table's order.
    costs: Box<[u32]>,
}

impl Costs {
    /// Prepares them.
    ///
    /// # Errors
    /// If there are too many, two are reached by the same calls, or one costs too much.
    pub fn new(operations: &[OperationCost]) -> Result<Self, SettingError> {
        if operations.len() > MAX_OPERATION_COSTS || operations.iter().any(|of| of.cost > MAX_LIMIT) {
            return wrong(format!(
                "operation_costs names at most {MAX_OPERATION_COSTS} operations, each with a cost of 0 to {MAX_LIMIT}"
            ));
        }
        let table = OperationTable::build(operations.iter().map(|of| (of.operation.method(), of.operation.path())));
        let table = table.map_err(|error| SettingError(format!("operation_costs: {error}")))?;
        Ok(Self { table, costs: operations.iter().map(|of| of.cost).collect() })
    }

    /// What a call costs.
    pub fn of(&self, method: Method, path: &str) -> u32 {
        self.find(method, path).unwrap_or(1)
    }

    /// What a call costs, if it is of an operation that has a cost here.
    pub fn find(&self, method: Method, path: &str) -> Option<u32> {
        if self.costs.is_empty() {
            return None;
        }
        self.table.find(method, path).and_then(|found| self.costs.get(found.to_usize()).copied())
    }
}

/// The header field in which an upstream says what a call cost, in lower case: `x-usage-cost`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CostHeader(String);

impl CostHeader {
    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CostHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for CostHeader {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Self, SettingError> {
        let name = text.to_ascii_lowercase();
        // It is taken away from the answer, which is not to lose anything else.
        let is_own = name.starts_with("x-") && (3..=64).contains(&name.len()) && name != "x-request-id";
        if !is_own || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return wrong("cost_header is the name of a header field of your own, such as X-Usage-Cost");
        }
        Ok(Self(name))
    }
}

as_text!(CostHeader);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_costs_what_its_owner_says_and_any_other_one() {
        let costs = |json: &str| Costs::new(&serde_json::from_str::<Vec<OperationCost>>(json).unwrap());
        let some = costs(
            r#"[{"operation":"POST /images/{id}","cost":10},{"operation":"GET /health","cost":0},{"operation":"GET /images/{id}","cost":2}]"#,
        )
        .unwrap();
        let of = |method: &str, path| some.of(method.parse().unwrap(), path);
        assert_eq!([of("POST", "/images/7"), of("GET", "/health"), of("GET", "/images/7")], [10, 0, 2]);
        assert_eq!([of("GET", "/other"), of("PUT", "/images/7")], [1, 1]);
        let find = |method: &str, path| some.find(method.parse().unwrap(), path);
        assert_eq!([find("GET", "/health"), find("GET", "/other")], [Some(0), None]);
        assert_eq!(costs("[]").unwrap().of(Method::Get, "/x"), 1);
        for wrong in [
            r#"[{"operation":"GET /a","cost":1000000001}]"#,
            r#"[{"operation":"GET /a/{b}","cost":1},{"operation":"GET /a/{c}","cost":2}]"#,
        ] {
            assert!(costs(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_header_of_costs_is_one_of_the_owners_own() {
        assert_eq!("X-Usage-Cost".parse::<CostHeader>().unwrap().as_str(), "x-usage-cost");
        for wrong in ["", "x-", "content-length", "X Usage", "x-request-id", "x-\u{e4}"] {
            assert!(wrong.parse::<CostHeader>().is_err(), "{wrong}");
        }
    }
}
