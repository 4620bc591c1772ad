//! The schema's history. What has been released is never edited: a database keeps a checksum of each, and one that differs is refused.
//!
//! A migration has a text per engine, for column types differ; both folders hold the same versions.

use crate::error::StoreError;

/// One step of the schema.
pub(crate) struct Migration {
    pub(crate) version: i64,
    pub(crate) name: &'static str,
    pub(crate) sqlite: &'static str,
    pub(crate) postgres: &'static str,
}

/// What a database's schema is brought from and to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upgrade {
    /// The newest step it has seen.
    pub from: i64,
    /// The newest there is.
    pub to: i64,
}

impl Upgrade {
    /// Of a database that has seen steps up to this one; `None` where there is nothing to do, or it is a new one.
    pub(crate) fn of(seen: Option<i64>) -> Option<Self> {
        let upgrade = Self { from: seen?, to: newest() };
        (upgrade.from < upgrade.to).then_some(upgrade)
    }
}

/// The newest step there is.
pub(crate) fn newest() -> i64 {
    MIGRATIONS.last().map_or(0, |migration| migration.version)
}

macro_rules! migrations {
    ($($version:literal $name:literal),+ $(,)?) => {
        pub(crate) const MIGRATIONS: &[Migration] = &[$(Migration {
            version: $version,
            name: $name,
            sqlite: include_str!(concat!("../migrations/sqlite/", $name, ".sql")),
            postgres: include_str!(concat!("../migrations/postgres/", $name, ".sql")),
        }),+];
    };
}

migrations! {
    1 "0001_first",
    2 "0002_account_api",
    3 "0003_sessions",
    4 "0004_rotation_due",
    5 "0005_keys_by_person",
    6 "0006_logins",
    7 "0007_identities",
    8 "0008_mail",
    9 "0009_pending_email",
    10 "0010_invitations",
    11 "0011_operators",
    12 "0012_uses",
    13 "0013_permission_uses",
    14 "0014_ending_keys",
    15 "0015_usage_batches",
    16 "0016_unreadable_batches",
    17 "0017_secrets_in_order",
    18 "0018_dated_secrets",
}

/// The error for a database that has seen a step nobody here knows.
pub(crate) fn is_newer(found: i64) -> StoreError {
    let newest = newest();
    StoreError::unavailable(format!(
        "the database is at schema {found} or a later one, and this Keywright knows {newest}: run the newer Keywright that \
         upgraded it, or restore the backup made before"
    ))
}

/// The error for a database that has seen a step in another form, or half of it.
pub(crate) fn is_changed(found: i64) -> StoreError {
    StoreError::corrupt(format!("migration {found} was applied in another form than this Keywright knows"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_folders_hold_exactly_the_listed_migrations() {
        let listed: Vec<String> = MIGRATIONS.iter().map(|migration| format!("{}.sql", migration.name)).collect();
        for engine in ["sqlite", "postgres"] {
            let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(engine);
            let mut found: Vec<String> = std::fs::read_dir(folder)
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            found.sort();
            assert_eq!(found, listed, "{engine}");
        }
        for (place, migration) in (1..).zip(MIGRATIONS) {
            assert_eq!(migration.version, place);
            assert!(migration.name.starts_with(&format!("{place:04}_")), "{}", migration.name);
        }
    }
}
