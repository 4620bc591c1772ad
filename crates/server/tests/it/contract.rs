//! What the providers' own documents promise, one test a promise, named after its row: raw JSON and headers compared.

mod ac;
mod ch;
pub(crate) mod ch_people;
mod clients;
mod external;
mod gate;
mod printed;
mod wa;
mod wc;
mod wc_dashboard;
mod wv;
mod wv_user;
