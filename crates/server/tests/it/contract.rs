//! What the providers' own documents promise, one test a promise, named after its row: raw JSON and headers compared.

mod ac;
mod ch;
mod external;
mod printed;
mod wa;
mod wc;
mod wv;
mod wv_user;
