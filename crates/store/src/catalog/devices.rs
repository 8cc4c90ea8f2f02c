//! Logins of devices that wait to be let in.

use std::net::IpAddr;

use keystile_core::id::{AccountId, OrganizationId};
use keystile_core::time::Timestamp;

use crate::db::{Columns, Row, damaged, sql};
use crate::records::{DeviceLogin, DeviceLoginState, NewDeviceLogin};
use crate::{Catalog, StoreError};

const SELECT: &str = "SELECT d.agent, d.address, d.created_at, d.ends_at, d.state, a.id, o.id FROM device_logins d \
     LEFT JOIN accounts a ON a.number = d.account LEFT JOIN organizations o ON o.number = d.organization";

fn read(row: &Row) -> Result<DeviceLogin, StoreError> {
    let mut row = Columns::of(row);
    let (agent, address) = (row.text()?, row.text()?);
    let (created_at, ends_at) = (row.moment()?, row.moment()?);
    let state = match (row.text()?.as_str(), row.blob_if_any()?, row.blob_if_any()?) {
        ("waiting", None, None) => DeviceLoginState::Waiting,
        ("denied", ..) => DeviceLoginState::Denied,
        ("approved", Some(account), Some(organization)) => DeviceLoginState::Approved {
            account: AccountId::from_slice(&account).map_err(damaged)?,
            organization: OrganizationId::from_slice(&organization).map_err(damaged)?,
        },
        (other, ..) => return Err(damaged(format_args!("a device's login in the state {other:?}"))),
    };
    Ok(DeviceLogin { agent, address, created_at, ends_at, state })
}

/// Most that wait at a time, in the whole installation.
const MAX_WAITING: u32 = 1_000;

impl Catalog {
    /// Lets a device wait to be let in; `false` if too many do. Nobody has done anything yet, so it is in no audit.
    ///
    /// # Errors
    /// If the store failed.
    pub async fn begin_device_login(
        &self,
        login: &NewDeviceLogin,
        address: Option<IpAddr>,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.0.base.write().await?;
        sql("DELETE FROM device_logins WHERE ends_at <= ?").bind(at.as_micros()).execute(&mut transaction).await?;
        let waiting: u32 = sql("SELECT count(*) FROM device_logins").fetch_number(&mut transaction).await?;
        if waiting >= MAX_WAITING {
            return Ok(false);
        }
        sql("INSERT INTO device_logins (lookup, user_code, agent, address, created_at, ends_at, state) \
             VALUES (?, ?, ?, ?, ?, ?, 'waiting')")
        .bind(&login.lookup[..])
        .bind(&login.user_code[..])
        .bind(login.agent.as_str())
        .bind(address.map(|address| address.to_string()).unwrap_or_default())
        .bind(at.as_micros())
        .bind(login.ends_at.as_micros())
        .execute(&mut transaction)
        .await?;
        self.0.commit(transaction).await?;
        Ok(true)
    }

    /// The login of the device with this code, if its time is not over at this moment.
    pub async fn device_login(&self, lookup: [u8; 32], now: Timestamp) -> Result<Option<DeviceLogin>, StoreError> {
        self.one_device("lookup", lookup, now).await
    }

    /// The login for which people type this, if it waits at this moment.
    pub async fn device_login_to_judge(
        &self,
        user_code: [u8; 32],
        now: Timestamp,
    ) -> Result<Option<DeviceLogin>, StoreError> {
        let found = self.one_device("user_code", user_code, now).await?;
        Ok(found.filter(|login| login.state == DeviceLoginState::Waiting))
    }

    async fn one_device(
        &self,
        column: &'static str,
        value: [u8; 32],
        now: Timestamp,
    ) -> Result<Option<DeviceLogin>, StoreError> {
        let mut db = self.0.base.view().await?;
        let condition = format!("WHERE {column} = ?");
        if self.0.sealer.is_altered(&mut db, "device_logins", (&condition, &[value.into()])).await? {
            return Ok(None);
        }
        let mut query = sql(SELECT);
        query.push(" WHERE d.").push(column).push(" = ").push_bind(&value[..]);
        query.push(" AND d.ends_at > ").push_bind(now.as_micros());
        query.fetch_optional(&mut db).await?.as_ref().map(read).transpose()
    }
}
