//! Policies, interned: keys with the same rights share one row, and nodes share one copy in memory.

use keystile_core::policy::Policy;
use sha2::{Digest, Sha256};

use crate::StoreError;
use crate::db::{Connection, sql, to_json};

/// The number that the first policy can't have: nodes pack a policy's number into 24 bits beside other facts of a key.
const NUMBERS: u32 = 1 << 24;

/// All numbers of policies are used up.
#[derive(Debug, thiserror::Error)]
#[error(
    "this installation has used all {NUMBERS} numbers for different policies; give keys the same rights where they mean the same"
)]
struct NoMorePolicies;

/// The number of a policy, a new one if it was never seen.
pub(super) async fn intern(db: &mut Connection, policy: &Policy) -> Result<u32, StoreError> {
    let document = to_json(policy)?;
    let hash: [u8; 32] = Sha256::digest(document.as_bytes()).into();
    let known = sql("SELECT number FROM policies WHERE hash = ?").bind(hash).fetch_number_if_any(&mut *db).await?;
    if let Some(number) = known {
        return Ok(number);
    }
    let added = sql("INSERT INTO policies (hash, document) VALUES (?, ?) RETURNING number");
    let number: u32 = added.bind(hash).bind(document).fetch_number(db).await?;
    if number < NUMBERS { Ok(number) } else { Err(StoreError(Box::new(NoMorePolicies))) }
}
