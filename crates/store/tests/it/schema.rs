//! Statements and the schema they are for.

use keywright_store::testing::{Fresh, statements};
use keywright_store::{Db, StoreError, Upgrade};

use crate::on_both_engines;
use crate::samples::with_key;

on_both_engines! {
    every_statement_prepares_and_takes_only_the_three_types,
    a_database_opens_again_with_its_data,
    an_upgrade_is_told_and_done_once,
    a_newer_schema_is_refused,
    a_changed_history_is_refused,
}

async fn every_statement_prepares_and_takes_only_the_three_types(fresh: &Fresh) {
    let statements = statements();
    for (name, sql) in &statements {
        let types = fresh.db.prepare(*sql).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        for kind in &types {
            assert!(["INT8", "TEXT", "BYTEA"].contains(&kind.as_str()), "{name} has a parameter of type {kind}");
        }
    }
}

#[test]
fn every_file_with_statements_is_prepared() {
    let listed: Vec<_> = statements().iter().map(|(name, _)| *name).collect();
    let mut unique = listed.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), listed.len(), "two statements share a name");

    let entries =
        |folder: &str| std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let mut sources = entries(concat!(env!("CARGO_MANIFEST_DIR"), "/src"));
    for folder in ["/src/db", "/src/db/sqlite", "/src/db/postgres"] {
        sources.extend(entries(&format!("{}{folder}", env!("CARGO_MANIFEST_DIR"))));
    }
    for path in sources.into_iter().filter(|path| path.is_file()) {
        let source = std::fs::read_to_string(&path).unwrap();
        // A name, ` = `, and a text or what makes one: a line of `statements!`.
        let in_macro = source.split("\nstatements! {").nth(1).and_then(|rest| rest.split("\n}\n").next());
        for line in in_macro.unwrap_or_default().lines() {
            let name = line.strip_prefix("    ").unwrap_or_default().split(" =").next().unwrap_or_default();
            if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_') {
                assert!(listed.contains(&name), "{name} of {} is not prepared", path.display());
            }
        }
        let makers = source.matches("Sql::new(").count();
        if !path.ends_with("sql.rs") {
            assert_eq!(makers, 0, "{} makes a statement outside `statements!`", path.display());
        }
    }
}

async fn a_database_opens_again_with_its_data(fresh: &Fresh) {
    let key = with_key(&fresh.db).await;
    fresh.db.close().await;
    assert!(matches!(fresh.db.ping().await, Err(StoreError::Unavailable(_))));
    if let Some(path) = fresh.url.strip_prefix("sqlite:") {
        assert!(!std::path::Path::new(&format!("{path}-wal")).exists(), "the log is folded into the file");
    }
    let again = Db::open(&fresh.url).await.unwrap();
    assert_eq!(keywright_store::keys::find_key(&again, key.id).await.unwrap(), Some(key));
}

async fn an_upgrade_is_told_and_done_once(fresh: &Fresh) {
    let (Some(newest), known) = Db::find_schema(&fresh.url).await.unwrap() else { panic!("there is a schema") };
    assert_eq!(newest, known);
    let forget = format!("delete from _sqlx_migrations where version = {newest}");
    fresh.db.run_raw(&forget).await.unwrap();
    let (told, heard) = std::sync::mpsc::channel();
    for _ in 0..2 {
        let told = told.clone();
        drop(Db::open_telling(&fresh.url, move |upgrade| told.send(upgrade).unwrap()).await.unwrap());
    }
    assert_eq!(heard.try_iter().collect::<Vec<_>>(), [Upgrade { from: newest - 1, to: newest }]);
    assert_eq!(Db::find_schema(&fresh.url).await.unwrap(), (Some(newest), known));
}

#[tokio::test]
async fn a_new_database_is_no_upgrade() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("new.db").display());
    drop(Db::open_telling(&url, |upgrade| panic!("{upgrade:?}")).await.unwrap());
}

async fn a_newer_schema_is_refused(fresh: &Fresh) {
    fresh
        .db
        .run_raw(
            "insert into _sqlx_migrations (version, description, success, checksum, execution_time) \
             select 9999, 'later', success, checksum, 0 from _sqlx_migrations where version = 1",
        )
        .await
        .unwrap();
    let refused = Db::open(&fresh.url).await.unwrap_err();
    let StoreError::Unavailable(reason) = &refused else { panic!("{refused:?}") };
    assert!(reason.contains("schema 9999") && reason.contains("newer"), "{reason}");
}

async fn a_changed_history_is_refused(fresh: &Fresh) {
    fresh.db.run_raw("update _sqlx_migrations set checksum = link from audit_head where version = 1").await.unwrap();
    assert!(matches!(Db::open(&fresh.url).await, Err(StoreError::Corrupt(_))));
}
