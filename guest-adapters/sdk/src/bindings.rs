//! What wit-bindgen generates from the WIT package: the shared types, the imports, and one small world for each role.
//!
//! Each role has a world of its own, so that a component exports exactly the roles its author names in
//! [`crate::export!`]: the generated macro of a role emits its exported functions together with a custom section that
//! describes them, and the encoder unites all sections it finds. The types are generated once and shared.
//!
//! The generated code is the only unsafe code of the SDK: the canonical ABI passes pointers into linear memory.
#![allow(unsafe_code, missing_docs, unreachable_pub, clippy::all, clippy::pedantic, clippy::unwrap_used)]

wit_bindgen::generate!({
    path: "../../wit",
    inline: "
        package bulkhead:sdk;
        world adapter-base {
            include bulkhead:adapter/capabilities@0.1.0;
            export bulkhead:adapter/adapter@0.1.0;
        }
    ",
    world: "bulkhead:sdk/adapter-base",
    additional_derives: [PartialEq],
    generate_all,
    generate_unused_types: true,
    pub_export_macro: true,
    export_macro_name: "export_adapter",
});

/// One module a role: its world exports that role's interface and nothing else.
macro_rules! role {
    ($module:ident, $world:literal, $export_macro:literal, $inline:literal) => {
        pub mod $module {
            wit_bindgen::generate!({
                path: "../../wit",
                inline: $inline,
                world: $world,
                with: { "bulkhead:adapter/types@0.1.0": crate::bindings::bulkhead::adapter::types },
                pub_export_macro: true,
                export_macro_name: $export_macro,
                disable_custom_section_link_helpers: true,
            });
        }
    };
}

role!(
    poller,
    "bulkhead:sdk/poller-role",
    "export_poller",
    "package bulkhead:sdk; world poller-role { export bulkhead:adapter/poller@0.1.0; }"
);
role!(
    listener,
    "bulkhead:sdk/listener-role",
    "export_listener",
    "package bulkhead:sdk; world listener-role { export bulkhead:adapter/listener@0.1.0; }"
);
role!(
    writer,
    "bulkhead:sdk/writer-role",
    "export_writer",
    "package bulkhead:sdk; world writer-role { export bulkhead:adapter/writer@0.1.0; }"
);
role!(
    sink,
    "bulkhead:sdk/sink-role",
    "export_sink",
    "package bulkhead:sdk; world sink-role { export bulkhead:adapter/sink@0.1.0; }"
);
role!(
    responder,
    "bulkhead:sdk/responder-role",
    "export_responder",
    "package bulkhead:sdk; world responder-role { export bulkhead:adapter/responder@0.1.0; }"
);
