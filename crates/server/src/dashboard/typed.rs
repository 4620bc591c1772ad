//! What is typed into the form of a key, new or not, and the permissions it offers.

use std::collections::BTreeSet;

use keywright_core::draft::{Change, Draft};
use keywright_core::ip::IpAllowlist;
use keywright_core::key::Key;
use keywright_core::policy::Kind;
use keywright_core::time::Span;

use super::Form;
use super::look::Mistakes;

/// Permissions offered without a field to narrow their list.
const FEW: usize = 8;
/// The days a key can be given by one click.
const DAYS: [i64; 3] = [7, 30, 90];
/// The most days it can be given, and what is said to whoever types others.
const MOST_DAYS: i64 = 3_650;
const NO_DAYS: &str = "is a number of days, from 1 to 3650";
/// The choice that leaves a key's end where it is.
pub(super) const AS_IT_IS: &str = "keep";

/// What was typed.
#[derive(Clone, Default)]
pub(super) struct Typed {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) environment: String,
    pub(super) role: String,
    pub(super) services: BTreeSet<String>,
    pub(super) permissions: BTreeSet<String>,
    pub(super) more_permissions: String,
    pub(super) addresses: String,
    pub(super) expires: String,
    pub(super) days: String,
}

impl Typed {
    pub(super) fn read(form: &Form) -> Self {
        Self {
            name: form.text("name").trim().to_owned(),
            description: form.text("description").trim().to_owned(),
            environment: form.text("environment").to_owned(),
            role: form.text("role").to_owned(),
            services: form.all("services").into_iter().collect(),
            permissions: form.all("permissions").into_iter().collect(),
            more_permissions: form.text("more_permissions").to_owned(),
            addresses: form.text("ip_allowlist").to_owned(),
            expires: form.text("expires").to_owned(),
            days: form.text("days").trim().to_owned(),
        }
    }

    /// As another key is, but for its name.
    pub(super) fn like(key: Key) -> Self {
        Self { name: String::new(), more_permissions: key.permissions.join(" "), ..Self::of(&key) }
    }

    /// As a key is.
    pub(super) fn of(key: &Key) -> Self {
        Self {
            name: key.name.clone(),
            description: key.description.clone(),
            environment: key.environment.clone().unwrap_or_default(),
            role: key.role.clone().unwrap_or_default(),
            services: key.services.iter().cloned().collect(),
            permissions: key.permissions.iter().cloned().collect(),
            addresses: lines(&key.ip_allowlist),
            expires: AS_IT_IS.into(),
            ..Self::default()
        }
    }

    pub(super) fn draft(&self, mistakes: &mut Mistakes) -> Draft {
        self.must_have_name(mistakes);
        let typed = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        Draft {
            name: self.name.clone(),
            description: self.description.clone(),
            environment: typed(&self.environment),
            role: typed(&self.role),
            services: self.services.iter().cloned().collect(),
            permissions: self.permissions(),
            ip_allowlist: self.addresses(mistakes),
            expires_in: self.expires_in(mistakes),
            ..Draft::default()
        }
    }

    /// What a key is to be from now on. A form that did not offer permissions, or an end, leaves them as they are.
    pub(super) fn change(&self, offers_permissions: bool, mistakes: &mut Mistakes) -> Change {
        self.must_have_name(mistakes);
        let moves_end = !matches!(self.expires.as_str(), "" | AS_IT_IS);
        Change {
            name: Some(self.name.clone()),
            description: Some(self.description.clone()),
            permissions: offers_permissions.then(|| self.permissions()),
            ip_allowlist: Some(self.addresses(mistakes)),
            expires_in: moves_end.then(|| self.expires_in(mistakes)),
            ..Change::default()
        }
    }

    fn must_have_name(&self, mistakes: &mut Mistakes) {
        if self.name.is_empty() {
            mistakes.add("name", "is required: say what the key is for, as in Nightly backup");
        }
    }

    /// The ticked ones and the typed ones.
    fn permissions(&self) -> Vec<String> {
        let more = self.more_permissions.split([' ', ',', '\n']).map(str::trim).filter(|word| !word.is_empty());
        self.permissions.iter().cloned().chain(more.map(str::to_owned)).collect()
    }

    fn addresses(&self, mistakes: &mut Mistakes) -> IpAllowlist {
        addresses(&self.addresses).unwrap_or_else(|reason| {
            mistakes.add("ip_allowlist", &reason);
            IpAllowlist::everywhere()
        })
    }

    fn expires_in(&self, mistakes: &mut Mistakes) -> Option<Span> {
        match self.expires.as_str() {
            // Nothing chosen is what the kind says.
            "never" | "" => None,
            "custom" => match self.days.parse::<i64>() {
                Ok(days) if (1..=MOST_DAYS).contains(&days) => Some(Span::days(days)),
                _ => {
                    mistakes.add("expires_in", NO_DAYS);
                    None
                }
            },
            days => {
                let chosen = days.parse().ok().filter(|days| DAYS.contains(days)).map(Span::days);
                if chosen.is_none() {
                    mistakes.add("expires_in", NO_DAYS);
                }
                chosen
            }
        }
    }
}

/// Entries as people paste them: one a line, or with commas or spaces between.
fn addresses(text: &str) -> Result<IpAllowlist, String> {
    IpAllowlist::from_entries(text.split([',', ' ', '\n', ';']).filter(|entry| !entry.trim().is_empty()))
}

/// An entry a line, each as it is read.
pub(super) fn lines(allowlist: &IpAllowlist) -> String {
    allowlist.entries().collect::<Vec<_>>().join("\n")
}

/// Permissions on one thing, in the order the policy names them.
pub(super) struct Group {
    pub(super) resource: String,
    pub(super) permissions: Vec<String>,
}

/// The permissions a form has boxes for, and whether it takes others.
pub(super) struct Offered {
    pub(super) groups: Vec<Group>,
    pub(super) are_many: bool,
    pub(super) is_open: bool,
}

impl Offered {
    /// What keys of the kind may be given, and what the key has beside: what has a box can be taken away.
    pub(super) fn new(kind: Option<&Kind>, held: &[String]) -> Self {
        let listed = kind.map(|kind| kind.permissions.as_slice()).unwrap_or_default();
        let (mut groups, mut count): (Vec<Group>, usize) = (Vec::new(), 0);
        for permission in listed.iter().chain(held.iter().filter(|held| !listed.contains(held))) {
            let resource = permission.split(':').next().unwrap_or_default();
            count += 1;
            match groups.iter_mut().find(|group| group.resource == resource) {
                Some(group) => group.permissions.push(permission.clone()),
                None => groups.push(Group { resource: resource.into(), permissions: vec![permission.clone()] }),
            }
        }
        Self { groups, are_many: count > FEW, is_open: kind.is_some_and(|kind| kind.open_permissions) }
    }

    /// Whether there is anything to choose.
    pub(super) fn is_any(&self) -> bool {
        self.is_open || !self.groups.is_empty()
    }
}
