//! The commands the providers print, run by a shell with real curl: nothing in them is changed but the server's address
//! and what stands for a secret or an id.

use std::process::Command;

use keywright_server::{Options, demo_services};
use serde_json::{Value, json};

use super::ch_people::code;
use crate::harness::{PASSWORD, TestServer, text};

/// Whom the pages address.
const HOSTS: [&str; 4] = [
    "https://api.wayscloud.services",
    "https://provision.wayscloud.net",
    "https://api.wavis.xyz",
    "https://api.cloudheed.com",
];

/// What a printed command comes to: its status and its body.
async fn answer(server: &TestServer, printed: &str, stands_for: &[(&str, &str)]) -> (u16, Value) {
    let here = format!("http://{}", server.address());
    let line = HOSTS.iter().fold(printed.to_owned(), |line, host| line.replace(host, &here));
    let line = stands_for.iter().fold(line, |line, (shown, meant)| {
        assert!(line.contains(shown), "{shown} is not in {printed}");
        line.replace(shown, meant)
    });
    run(line, std::env::temp_dir()).await
}

/// Runs a command, or a script with one, in a folder.
async fn run(line: String, folder: std::path::PathBuf) -> (u16, Value) {
    let line = line.replacen("curl ", "curl --silent --show-error --write-out '\\n%{http_code}' ", 1);
    let run = move || (Command::new("sh").args(["-c", &line]).current_dir(folder).output(), line);
    let (output, line) = tokio::task::spawn_blocking(run).await.unwrap();
    let output = output.unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    let told = String::from_utf8(output.stdout).unwrap();
    let (body, status) = told.rsplit_once('\n').unwrap();
    (status.parse().unwrap(), serde_json::from_str(body).unwrap_or(Value::Null))
}

#[track_caller]
fn is((status, body): (u16, Value), expected: u16) -> Value {
    assert_eq!(status, expected, "{body}");
    body
}

#[tokio::test]
async fn wv1_wv10_the_commands_for_keys_work_as_printed() {
    let server = TestServer::listening(Options::default()).await;
    let trial = "curl -X POST https://api.wavis.xyz/api/v1/onboarding/temp-key";
    let trial = is(answer(&server, trial, &[]).await, 201);
    let health = r#"curl https://api.wavis.xyz/api/v1/health \
  -H "Authorization: Bearer wvs_trial_abc123...""#;
    let health = answer(&server, health, &[("wvs_trial_abc123...", &text(&trial, "api_key"))]).await;
    assert_eq!(is(health, 200), json!({ "status": "ok" }));
    let key = server.key(json!({ "kind": "wavis" })).await.key;
    let rotate = r#"curl -X POST https://api.wavis.xyz/api/v1/keys/apikey/rotate \
  -H "Authorization: Bearer <CURRENT_KEY>""#;
    let rotated = is(answer(&server, rotate, &[("<CURRENT_KEY>", &key)]).await, 200);
    assert_eq!(server.code(&text(&rotated, "new_api_key")).await, "VALID");
}

#[tokio::test]
async fn wv8_wv12_the_commands_for_people_work_as_printed() {
    let server = TestServer::listening(Options::default()).await;
    let account = server.account().await;
    let (_, _, token) = server.person(&account, "owner").await;
    let create = r#"curl -X POST https://api.wavis.xyz/api/v1/user/api-keys \
  -H "Authorization: Bearer <CLERK_JWT>" \
  -H "Content-Type: application/json" \
  -d '{"environment": "live", "role": "developer"}'"#;
    let made = is(answer(&server, create, &[("<CLERK_JWT>", &token)]).await, 201);
    let revoke = r#"curl -X DELETE https://api.wavis.xyz/api/v1/user/api-keys/{key_id} \
  -H "Authorization: Bearer <CLERK_JWT>""#;
    let meant = [("{key_id}", text(&made, "id")), ("<CLERK_JWT>", token)];
    let meant = meant.each_ref().map(|(shown, meant)| (*shown, meant.as_str()));
    assert_eq!(answer(&server, revoke, &meant).await, (204, Value::Null));
    assert_eq!(server.code(&text(&made, "key")).await, "REVOKED");
}

#[tokio::test]
async fn ch3_the_command_works_as_printed() {
    let server = TestServer::listening(Options::default()).await;
    let account = server.account().await;
    let (_, _, token) = server.person(&account, "owner").await;
    let create = r#"curl -X POST https://api.cloudheed.com/v1/auth/api-keys \
  -H "Authorization: Bearer YOUR_TOKEN" \
  -H "Content-Type: application/json" \
  -d '{
    "name": "Production Key",
    "scopes": ["databases:read", "databases:write"],
    "expires_in": "365d"
  }'"#;
    let made = is(answer(&server, create, &[("YOUR_TOKEN", &token)]).await, 201);
    assert!(text(&made, "key").starts_with("ch_live_"));
}

#[tokio::test]
async fn wa9_the_command_works_as_printed() {
    let server = TestServer::listening(Options::default()).await;
    let account = server.account().await;
    let (_, _, token) = server.person(&account, "owner").await;
    let create = r#"curl -X POST "https://provision.wayscloud.net/api/v1/dashboard/api-keys" \
-H "Authorization: Bearer {keycloak_token}" \
-H "Content-Type: application/json" \
-d '{
"name": "Production Storage Key",
"service": "storage",
"description": "Production environment storage access"
}'"#;
    let made = is(answer(&server, create, &[("{keycloak_token}", &token)]).await, 201);
    assert!(text(&made, "key").starts_with("wayscloud_storage_"));
}

/// The header every command of the Account API has, on a line of its own.
const PAT: &str = "wayscloud_pat_abc12_YOUR_SECRET";

#[tokio::test]
async fn ac1_ac2_ac3_ac4_ac5_ac6_ac7_ac8_the_commands_work_as_printed() {
    let server = TestServer::listening(Options::default()).await;
    let account = server.account().await;
    let scopes = json!(["profile:read", "api_keys:write", "ssh_keys:write", "services:read"]);
    let (_, pat) = server.key_of(&account, json!({ "kind": "wayscloud-pat", "permissions": scopes })).await.pair();
    let run = async |printed: &str| answer(&server, printed, &[(PAT, &pat)]).await;
    for path in ["profile", "api-keys", "ssh-keys", "services"] {
        let printed = format!(
            "curl https://api.wayscloud.services/v1/account/{path} \\\n-H \"X-API-Key: wayscloud_pat_abc12_YOUR_SECRET\""
        );
        is(run(&printed).await, 200);
    }
    let service = r#"curl -X POST https://api.wayscloud.services/v1/account/api-keys/service \
-H "X-API-Key: wayscloud_pat_abc12_YOUR_SECRET" \
-H "Content-Type: application/json" \
-d '{
"service": "database",
"description": "CI/CD pipeline database access"
}'"#;
    let made = is(run(service).await, 201);
    let token = r#"curl -X POST https://api.wayscloud.services/v1/account/api-keys/pat \
-H "X-API-Key: wayscloud_pat_abc12_YOUR_SECRET" \
-H "Content-Type: application/json" \
-d '{
"scopes": [
"api_keys:write",
"ssh_keys:read",
"services:read"
],
"description": "Terraform automation token",
"expires_in_days": 90
}'"#;
    assert_eq!(is(run(token).await, 201)["key_type"], "pat");
    let ssh = r#"curl -X POST https://api.wayscloud.services/v1/account/ssh-keys \
-H "X-API-Key: wayscloud_pat_abc12_YOUR_SECRET" \
-H "Content-Type: application/json" \
-d '{
"name": "deploy-server",
"public_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl user@workstation"
}'"#;
    let ssh = is(run(ssh).await, 201);
    for (path, id) in [("api-keys", text(&made, "id")), ("ssh-keys", text(&ssh, "id"))] {
        let printed = format!(
            "curl -X DELETE https://api.wayscloud.services/v1/account/{path}/{{key_id}} \\\n-H \"X-API-Key: {PAT}\""
        );
        let deleted = answer(&server, &printed, &[("{key_id}", &id), (PAT, &pat)]).await;
        assert_eq!(is(deleted, 200)["success"], true);
    }
}

/// The commands for services, through the gate to those of the demo.
#[tokio::test]
async fn wa3_wa4_wa5_wc8_the_commands_for_services_work_as_printed() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file.txt"), "kept as it is").unwrap();
    let upstreams = demo_services(folder.path()).await.unwrap();
    let server = TestServer::listening(Options { upstreams, ..Options::default() }).await;
    let key = async |service: &str| server.key(json!({ "kind": "wayscloud-service", "services": [service] })).await.key;
    let here = format!("http://{}", server.address());
    let printed = [
        (
            "storage",
            "wayscloud_storage_abc123_XyZ789SecretKey",
            r#"curl -X GET "https://api.wayscloud.services/v1/storage/" \
-H "Authorization: Bearer wayscloud_storage_abc123_XyZ789SecretKey""#,
        ),
        (
            "storage",
            "wayscloud_storage_abc123_YourSecretKey",
            r#"curl -X PUT "https://api.wayscloud.services/v1/storage/my-bucket/file.txt" \
-H "Authorization: Bearer wayscloud_storage_abc123_YourSecretKey" \
--data-binary @file.txt"#,
        ),
        (
            "llm",
            "wayscloud_llm_xyz789_YourSecretKey",
            r#"curl -X POST "https://api.wayscloud.services/v1/chat/completions" \
-H "Authorization: Bearer wayscloud_llm_xyz789_YourSecretKey" \
-H "Content-Type: application/json" \
-d '{"model": "qwen3-80b-instruct", "messages": [{"role": "user", "content": "Hello"}]}'"#,
        ),
        (
            "database",
            "wayscloud_database_def456_YourSecretKey",
            r#"curl -X POST "https://api.wayscloud.services/v1/databases" \
-H "Authorization: Bearer wayscloud_database_def456_YourSecretKey" \
-H "Content-Type: application/json" \
-d '{"db_type": "postgresql", "db_name": "my_app_db"}'"#,
        ),
        (
            "dns",
            "wayscloud_dns_ghi789_YourSecretKey",
            r#"curl -X POST "https://api.wayscloud.services/v1/dns/zones" \
-H "Authorization: Bearer wayscloud_dns_ghi789_YourSecretKey" \
-H "Content-Type: application/json" \
-d '{"domain": "example.com", "dnssec_enabled": true}'"#,
        ),
        (
            "gpu",
            "wayscloud_gpu_jkl012_YourSecretKey",
            r#"curl -X POST "https://api.wayscloud.services/v1/gpu/jobs" \
-H "Authorization: Bearer wayscloud_gpu_jkl012_YourSecretKey" \
-H "Content-Type: application/json" \
-d '{"job_type": "video_generation", "prompt": "Ocean waves at sunset"}'"#,
        ),
        (
            "storage",
            "your_key_here",
            r#"export WAYSCLOUD_API_KEY="your_key_here"

# Test Storage API
curl -X GET "https://api.wayscloud.services/v1/storage/" \
-H "Authorization: Bearer $WAYSCLOUD_API_KEY""#,
        ),
    ];
    for (service, stands_for, printed) in printed {
        assert!(printed.contains(stands_for), "{printed}");
        let line = printed.replace(HOSTS[0], &here).replace(stands_for, &key(service).await);
        assert_eq!(run(line, folder.path().to_owned()).await.0, 200, "{printed}");
    }
    let kept = server.get("/v1/storage/my-bucket/file.txt").by(&key("storage").await).send().await.with(200);
    assert_eq!(kept.text, "kept as it is");
}

#[tokio::test]
async fn ch1_ch2_ch5_ch6_ch7_the_commands_for_people_work_as_printed() {
    let folder = tempfile::tempdir().unwrap();
    let upstreams = demo_services(folder.path()).await.unwrap();
    let server = TestServer::listening(Options { upstreams, ..Options::default() }).await;
    let account = server.account().await;
    let (email, _) = server.registered(&account, "owner").await;
    let login = r#"curl -X POST https://api.cloudheed.com/v1/auth/login \
  -H "Content-Type: application/json" \
  -d '{
    "email": "[email protected]",
    "password": "yourpassword"
  }'"#;
    let meant = [("[email protected]", email.as_str()), ("yourpassword", PASSWORD)];
    let tokens = is(answer(&server, login, &meant).await, 200);
    let token = text(&tokens, "access_token");
    let databases = r#"curl https://api.cloudheed.com/v1/databases \
  -H "Authorization: Bearer eyJhbGciOiJIUzI1NiIs...""#;
    is(answer(&server, databases, &[("eyJhbGciOiJIUzI1NiIs...", &token)]).await, 200);
    let refresh = r#"curl -X POST https://api.cloudheed.com/v1/auth/refresh \
  -H "Content-Type: application/json" \
  -d '{
    "refresh_token": "your_refresh_token"
  }'"#;
    is(answer(&server, refresh, &[("your_refresh_token", &text(&tokens, "refresh_token"))]).await, 200);
    let key = server.key(json!({ "kind": "cloudheed", "permissions": ["databases:read"] })).await.key;
    let databases = r#"curl https://api.cloudheed.com/v1/databases \
  -H "Authorization: Bearer ch_live_abc123...""#;
    is(answer(&server, databases, &[("ch_live_abc123...", &key)]).await, 200);
    let set_up = r#"curl -X POST https://api.cloudheed.com/v1/auth/2fa/setup \
  -H "Authorization: Bearer YOUR_TOKEN""#;
    let secret = text(&is(answer(&server, set_up, &[("YOUR_TOKEN", &token)]).await, 200), "secret");
    let verify = r#"curl -X POST https://api.cloudheed.com/v1/auth/2fa/verify \
  -H "Authorization: Bearer YOUR_TOKEN" \
  -H "Content-Type: application/json" \
  -d '{
    "code": "123456"
  }'"#;
    let verified = answer(&server, verify, &[("YOUR_TOKEN", &token), ("123456", &code(&secret, 0))]).await;
    assert_eq!(is(verified, 200)["backup_codes"].as_array().map(Vec::len), Some(10));
}
