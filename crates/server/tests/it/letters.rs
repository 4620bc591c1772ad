//! Letters a server sends: into a folder beside its database, where a test reads them.

use keywright_app::mail::Post;
use keywright_store::testing::Fresh;

use crate::harness::TestServer;

/// Where letters go.
fn folder(fresh: &Fresh) -> std::path::PathBuf {
    let database = fresh.url.strip_prefix("sqlite:").map_or("/nowhere", |path| path);
    std::path::Path::new(database).with_file_name("mail")
}

/// The way letters go out.
pub(crate) fn post(fresh: &Fresh) -> Post {
    let from = "Keywright <no-reply@example.com>".parse().unwrap();
    Post::Folder { path: folder(fresh), from, shows_links: false }
}

impl TestServer {
    /// Every letter that went out to an address so far, the oldest first.
    pub(crate) async fn letters(&self, to: &str) -> Vec<String> {
        // The server delivers by itself, too: wait until nobody is at it.
        while self.app.deliver_mail().await.unwrap() > 0 || self.app.waiting_mail().await.unwrap().letters > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
        let folder = folder(&self.fresh);
        let files = std::fs::read_dir(folder).into_iter().flatten().map(|file| file.unwrap().path());
        let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|end| end == "eml")).collect();
        files.sort();
        let texts = files.iter().map(|path| std::fs::read_to_string(path).unwrap());
        // Quoted-printable (RFC 2045, 6.7), as far as our letters need it.
        let plain = texts.map(|text| text.replace("=\r\n", "").replace("=3D", "=").replace("\r\n", "\n"));
        plain.filter(|text| text.contains(&format!("To: {to}\n"))).collect()
    }

    /// The token in the newest letter to an address.
    pub(crate) async fn mailed(&self, to: &str) -> String {
        let letters = self.letters(to).await;
        let newest = letters.last().unwrap_or_else(|| panic!("no letter to {to}"));
        let (_, token) = newest.split_once("token=").unwrap_or_else(|| panic!("no link in {newest}"));
        token.split_whitespace().next().unwrap().to_owned()
    }
}
