//! From nothing to an adapter that builds and passes its tests, in a folder outside of this repository; and what an author
//! is told when something is wrong.

use bulkhead_bundle::{Manifest, Surface};
use bulkhead_tests::{CommandOutput, Polled, adapters, gateway_binary, versioned_adapter, within};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;

/// A folder far from the repository. Only what cargo has fetched before is used: no test needs the internet.
struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn run(&self, program: &Path, folder: &str, arguments: &[&str]) -> CommandOutput {
        self.run_with(program, folder, arguments, &[]).await
    }

    async fn run_with(
        &self,
        program: &Path,
        folder: &str,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> CommandOutput {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.path(folder)).stdin(Stdio::null()).kill_on_drop(true);
        // What cargo or nextest set for this test is none of the project's business.
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CARGO_") && name != "CARGO_HOME") {
            command.env_remove(name);
        }
        command.env("CARGO_NET_OFFLINE", "true").env("NO_COLOR", "1").env_remove("UPDATE_GOLDEN");
        command.envs(environment.iter().copied());
        let output = command.output().await.unwrap();
        CommandOutput {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    async fn bulkhead(&self, folder: &str, arguments: &[&str]) -> CommandOutput {
        self.run(&gateway_binary().unwrap(), folder, arguments).await
    }

    /// A project whose compiled dependencies are kept between runs of these tests: they are a minute's work.
    fn share_target(&self, project: &str) {
        let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/authoring");
        std::fs::create_dir_all(&shared).unwrap();
        std::os::unix::fs::symlink(shared.canonicalize().unwrap(), self.path(project).join("target")).unwrap();
    }

    fn edit(&self, file: &str, from: &str, to: &str) {
        let path = self.path(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        std::fs::write(path, text.replace(from, to)).unwrap();
    }
}

#[tokio::test]
async fn a_new_project_with_every_role_builds_passes_its_tests_and_can_be_signed() {
    let desk = Desk::new();
    let roles = ["poller", "listener", "writer", "sink", "responder"];
    let mut arguments = vec!["adapter", "new", "weigher"];
    arguments.extend(roles.iter().flat_map(|role| ["--role", role]));
    let made = desk.bulkhead(".", &arguments).await;
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    desk.share_target("weigher");

    let built = desk.bulkhead("weigher", &["adapter", "build"]).await;
    assert_eq!(built.code, Some(0), "{}", built.stderr);
    let adapter = std::fs::read(desk.path("weigher/dist/weigher.wasm")).unwrap();
    let manifest = Manifest::read(&adapter).unwrap().unwrap();
    assert_eq!((manifest.id.as_str(), manifest.version.to_string().as_str()), ("example/weigher", "0.1.0"));
    let surface = Surface::read(&adapter).unwrap();
    assert_eq!(surface.roles(), roles.iter().map(|role| (*role).to_owned()).collect());
    assert_eq!(surface.other_imports(), Vec::<&str>::new());

    let own = desk.run(Path::new("cargo"), "weigher", &["test", "--quiet"]).await;
    assert_eq!(own.code, Some(0), "{}{}", own.stdout, own.stderr);
    let tested = desk.bulkhead("weigher", &["adapter", "test"]).await;
    assert_eq!(
        (tested.code, tested.stdout.as_str()),
        (Some(0), "  ok      first\n1 case passed\n"),
        "{}",
        tested.stderr
    );

    // Another answer of the device: another reading, named by its place.
    desk.edit("weigher/cases/first.toml", "answer = \"12.5\"", "answer = \"13.5\"");
    let differs = desk.bulkhead("weigher", &["adapter", "test"]).await;
    assert_eq!(differs.code, Some(1));
    assert!(
        differs.stdout.contains("steps[1].did[0].answer\n    expected \"12.5\"\n    found    \"13.5\""),
        "{}",
        differs.stdout
    );
    let updated = desk.bulkhead("weigher", &["adapter", "test", "--update"]).await;
    assert!(updated.stdout.contains("written first"), "{}", updated.stdout);
    assert_eq!(desk.bulkhead("weigher", &["adapter", "test"]).await.code, Some(0));

    // A panic says where and why.
    desk.edit(
        "weigher/src/lib.rs",
        "let line = serial::exchange(",
        "assert!(self.settings.request.len() > 99, \"too short\");\n        let line = serial::exchange(",
    );
    let source = std::fs::read_to_string(desk.path("weigher/src/lib.rs")).unwrap();
    let line = source.lines().position(|line| line.contains("\"too short\"")).unwrap() + 1;
    let crash = format!(
        "FAILED  first: steps[1] poll default: the adapter crashed: the adapter panicked at src/lib.rs:{line}:9: too short; wasm trap: "
    );
    for arguments in [&["adapter", "test"][..], &["adapter", "test", "--update"]] {
        let panicked = desk.bulkhead("weigher", arguments).await;
        assert_eq!(panicked.code, Some(1), "{}", panicked.stderr);
        assert!(panicked.stdout.contains(&crash), "{crash}: {}", panicked.stdout);
    }
    let expected = std::fs::read_to_string(desk.path("weigher/cases/first.expected.json")).unwrap();
    assert!(!expected.contains("crashed"), "{expected}");

    // Settings that do not fit say so before anything that follows from it.
    desk.edit(
        "weigher/cases/first.toml",
        "[transports.device]",
        "[settings]\nrequets = \"READ\"\n\n[transports.device]",
    );
    let unfit = desk.bulkhead("weigher", &["adapter", "test"]).await;
    assert!(
        unfit.stdout.contains("FAILED  first: steps[0] start: bad-settings: settings.requets: unknown"),
        "{}",
        unfit.stdout
    );

    // A role that is promised and not there.
    desk.edit("weigher/src/lib.rs", ", responder);", ");");
    let missing = desk.bulkhead("weigher", &["adapter", "build"]).await;
    assert_eq!(missing.code, Some(1));
    let reason = "adapter.toml does not fit the component: it says roles listener, poller, responder, sink, writer, and the \
                  component exports listener, poller, sink, writer";
    assert!(missing.stderr.contains(reason), "{}", missing.stderr);

    let source = std::fs::read_to_string(desk.path("weigher/src/lib.rs")).unwrap();
    let (all_but, _) = source.split_once("\nbulkhead_sdk::export!(").unwrap();
    std::fs::write(desk.path("weigher/src/lib.rs"), all_but).unwrap();
    let none = desk.bulkhead("weigher", &["adapter", "build"]).await;
    let asked = "the component exports none; is there export!(…: listener, poller, responder, sink, writer) at the end of src/lib.rs?";
    assert!(none.code == Some(1) && none.stderr.contains(asked), "{}", none.stderr);

    assert_eq!(desk.bulkhead(".", &["adapter", "key", "acme"]).await.code, Some(0));
    let signed = desk.bulkhead(".", &["adapter", "sign", "weigher/dist/weigher.wasm", "--key", "acme.key"]).await;
    assert!(
        signed.stdout.contains("weigher.wasm.minisig: example/weigher 0.1.0"),
        "{} {}",
        signed.stdout,
        signed.stderr
    );
    for left in ["the maker in its id is still \"example\"", "its author is still \"Your name\""] {
        assert!(signed.code == Some(0) && signed.stderr.contains(left), "{}", signed.stderr);
    }
}

/// A scale that answers each line it is sent.
async fn scale() -> std::net::SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (read, mut write) = stream.into_split();
            let mut lines = BufReader::new(read).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let answer = if line == "READ" { "12.5\r\n" } else { "ERR\r\n" };
                if write.write_all(answer.as_bytes()).await.is_err() {
                    break;
                }
            }
        }
    });
    address
}

#[tokio::test]
async fn a_projects_adapter_is_run_against_a_device() {
    let desk = Desk::new();
    assert_eq!(desk.bulkhead(".", &["adapter", "new", "reader", "--role", "poller"]).await.code, Some(0));
    desk.share_target("reader");
    desk.edit("reader/run.toml", "127.0.0.1:4001", &scale().await.to_string());
    let ran = desk.bulkhead("reader", &["adapter", "run", "--times", "2", "--json"]).await;
    assert_eq!(ran.code, Some(0), "{} {}", ran.stdout, ran.stderr);
    let readings: Vec<serde_json::Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(readings.len(), 2, "{}", ran.stdout);
    assert!(readings.iter().all(|read| read["point"] == "value" && read["value"] == 12.5), "{readings:?}");
}

/// The tools of the languages are other people's: without them nothing is built, nothing is fetched, and the author is told
/// which it is and what installs it.
#[tokio::test]
async fn a_tool_that_is_missing_is_named_with_the_command_that_installs_it() {
    let with_pip = "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt";
    for (language, tool, install, packages) in [
        ("js", "componentize-qjs, which makes components of JavaScript", "npm install", "package.json"),
        ("python", "componentize-py, which makes components of Python", with_pip, "requirements.txt"),
        ("c", "zig, which compiles C for WebAssembly", with_pip, "requirements.txt"),
    ] {
        let desk = Desk::new();
        let made = desk.bulkhead(".", &["adapter", "new", "weigher", "--role", "sink", "--lang", language]).await;
        assert!(
            made.code == Some(0) && made.stdout.contains(&format!("  {install}\n")),
            "{}{}",
            made.stdout,
            made.stderr
        );
        assert!(desk.path("weigher").join(packages).is_file());
        let no_programs = [("PATH", "/nowhere")];
        let program = gateway_binary().unwrap();
        let built = desk.run_with(&program, "weigher", &["adapter", "build"], &no_programs).await;
        assert_eq!(built.code, Some(1), "{}", built.stdout);
        for part in [tool, install, "on Debian: apt-get install"] {
            assert!(built.stderr.contains(part), "{part} is not in {}", built.stderr);
        }
        assert!(!desk.path("weigher/target").exists() && !desk.path("weigher/dist").exists());
    }
}

/// Said before the language's tool is called, so that an empty file can stand in its place: the tool would make a component
/// of a source without its roles.
#[tokio::test]
async fn roles_and_asks_are_held_against_a_source_in_javascript_or_python() {
    for (language, entry, tool, from, to, said) in [
        (
            "js",
            "adapter.js",
            "node_modules/.bin/componentize-qjs",
            "export const poller",
            "const poller",
            "adapter.js does not export poller: add export const poller = guarded({ poll(group) { … } })",
        ),
        (
            "python",
            "adapter.py",
            ".venv/bin/componentize-py",
            "def poll(",
            "def pull(",
            "adapter.py: the class Poller has no method poll: add def poll(self, group)",
        ),
    ] {
        let desk = Desk::new();
        let made = desk.bulkhead(".", &["adapter", "new", "weigher", "--role", "poller", "--lang", language]).await;
        assert_eq!(made.code, Some(0), "{}", made.stderr);
        let tool = desk.path("weigher").join(tool);
        std::fs::create_dir_all(tool.parent().unwrap()).unwrap();
        std::fs::write(&tool, "").unwrap();
        let entry = format!("weigher/{entry}");
        desk.edit(&entry, from, to);
        let built = desk.bulkhead("weigher", &["adapter", "build"]).await;
        assert!(built.code == Some(1) && built.stderr.contains(said), "{}{}", built.stdout, built.stderr);
        desk.edit(&entry, to, from);
        desk.edit("weigher/adapter.toml", "[asks]\n", "[asks]\nhttp = \"Asks.\"\n");
        let built = desk.bulkhead("weigher", &["adapter", "build"]).await;
        let idle = "adapter.toml does not fit the sources: asks: a reason is given for http, which no source imports";
        assert!(built.code == Some(1) && built.stderr.contains(idle), "{}{}", built.stdout, built.stderr);
    }
}

#[tokio::test]
async fn a_component_of_another_tool_becomes_an_adapter_if_it_is_what_adapter_toml_says() {
    let desk = Desk::new();
    let toml =
        "id = \"acme/press\"\nversion = \"2.0.0\"\ndescription = \"Watches.\"\nauthor = \"Acme\"\nlicence = \"MIT\"\n";
    std::fs::write(desk.path("made.wasm"), versioned_adapter("1.0.0", Polled::Well).unwrap()).unwrap();
    let build = async |more: &str| {
        std::fs::write(desk.path("adapter.toml"), format!("{toml}{more}")).unwrap();
        desk.bulkhead(".", &["adapter", "build", "--component", "made.wasm"]).await
    };
    let built = build("roles = [\"poller\"]\n").await;
    assert!(built.code == Some(0) && built.stdout.contains("dist/press.wasm"), "{}", built.stderr);
    assert!(!built.stderr.contains("earlier build"), "{}", built.stderr);
    let wrong = build("roles = [\"sink\"]\n").await;
    assert!(wrong.stderr.contains("it says roles sink, and the component exports poller"), "{}", wrong.stderr);
    let idle = build("roles = [\"poller\"]\n[asks]\nhttp = \"x\"\n").await;
    assert!(idle.stderr.contains("a reason is given for http, which the component does not import"), "{}", idle.stderr);
    // Under another id it is another file: what lies beside it is named.
    std::fs::write(desk.path("dist/press.wasm.minisig"), "").unwrap();
    let renamed = toml.replace("acme/press", "acme/press-2") + "roles = [\"poller\"]\n";
    std::fs::write(desk.path("adapter.toml"), renamed).unwrap();
    let built = desk.bulkhead(".", &["adapter", "build", "--component", "made.wasm"]).await;
    let left = "dist/press.wasm and its .minisig are of an earlier build: this adapter is dist/press-2.wasm now";
    assert!(built.code == Some(0) && built.stderr.contains(left), "{}{}", built.stdout, built.stderr);
    let typo = build("role = [\"poller\"]\n").await;
    assert!(typo.stderr.contains("adapter.toml") && typo.stderr.contains("`role`"), "{}", typo.stderr);
    let nowhere = desk.bulkhead("/", &["adapter", "build"]).await;
    assert!(nowhere.code == Some(1) && nowhere.stderr.contains("has no adapter.toml"), "{}", nowhere.stderr);
}

/// What `adapter test` says of a component, with one script.
async fn tested(component: &[u8], case: &str) -> CommandOutput {
    let desk = Desk::new();
    std::fs::create_dir(desk.path("cases")).unwrap();
    std::fs::write(desk.path("cases/one.toml"), case).unwrap();
    std::fs::write(desk.path("made.wasm"), component).unwrap();
    let asked = desk.bulkhead(".", &["adapter", "test", "--component", "made.wasm", "--cases", "cases", "--update"]);
    let mut output = within("the test of a component", asked).await.unwrap();
    output.stdout.push_str(&std::fs::read_to_string(desk.path("cases/one.expected.json")).unwrap_or_default());
    output
}

#[tokio::test]
async fn a_world_that_does_not_fit_is_named_with_what_was_expected() {
    let wrong_version = wat(r#"(component (instance $i) (export "bulkhead:adapter/poller@0.2.0" (instance $i)))"#);
    let told = tested(&wrong_version, "steps = []").await;
    assert!(
        told.stderr.contains("it is bulkhead:adapter/poller@0.2.0, and this gateway runs version 0.1.0"),
        "{}",
        told.stderr
    );
    let no_role = wat(r#"(component (instance $i) (export "acme:thing/x" (instance $i)))"#);
    let told = tested(&no_role, "steps = []").await;
    assert!(told.stderr.contains("exports no role") && told.stderr.contains("acme:thing/x"), "{}", told.stderr);
    let no_functions = wat(r#"(component (instance $i) (export "bulkhead:adapter/adapter@0.1.0" (instance $i))
            (export "bulkhead:adapter/poller@0.1.0" (instance $i)))"#);
    let told = tested(&no_functions, "steps = []").await;
    assert!(
        told.stderr.contains("not as bulkhead:adapter@0.1.0 says") && told.stderr.contains("start"),
        "{}",
        told.stderr
    );
    let import = wat(r#"(component (import "acme:files/open@1.0.0" (instance (export "open" (func)))) (instance $i)
            (export "bulkhead:adapter/adapter@0.1.0" (instance $i))
            (export "bulkhead:adapter/poller@0.1.0" (instance $i)))"#);
    let told = tested(&import, "steps = []").await;
    assert!(told.stderr.contains("needs acme:files/open@1.0.0, which this gateway does not offer"), "{}", told.stderr);
}

fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

#[tokio::test]
async fn a_transport_that_the_script_does_not_grant_and_settings_that_do_not_fit_are_named() {
    let registers = std::fs::read(adapters().unwrap().join("modbus-registers.wasm")).unwrap();
    let refused = tested(&registers, "[[steps]]\npoll = \"default\"\n").await;
    assert!(refused.stdout.contains("needs a transport of kind modbus-tcp or modbus-rtu"), "{}", refused.stdout);
    let case = "[transports.device]\nkind = \"modbus\"\nholding_registers = { 100 = [615] }\n\
                [[settings.points]]\nname = \"flow_temp\"\ntable = \"holding-register\"\naddress = 100\ntype = \"i-16\"\n\
                [[steps]]\npoll = \"default\"\n";
    let wrong = tested(&registers, case).await;
    assert!(wrong.stdout.contains("bad-settings") && wrong.stdout.contains("settings.points"), "{}", wrong.stdout);
    let typo = tested(&registers, "[[step]]\npoll = \"default\"\n").await;
    assert!(typo.code == Some(1) && typo.stdout.contains("`step`"), "{}", typo.stdout);
}

#[tokio::test]
async fn the_projects_own_adapter_reads_scripted_registers() {
    let registers = std::fs::read(adapters().unwrap().join("modbus-registers.wasm")).unwrap();
    let case = "[transports.device]\nkind = \"modbus\"\nholding_registers = { 100 = [615, 7] }\n\
                [[settings.points]]\nname = \"flow_temp\"\ntable = \"holding-register\"\naddress = 100\ntype = \"i16\"\nscale = 0.1\nwritable = true\n\
                [[steps]]\npoll = \"default\"\n[[steps]]\nwrite = { flow_temp = 62.5 }\n[[steps]]\npoll = \"default\"\n";
    let told = tested(&registers, case).await;
    assert_eq!(told.code, Some(0), "{} {}", told.stdout, told.stderr);
    let expected = &told.stdout[told.stdout.find('{').unwrap()..];
    let came: serde_json::Value = serde_json::from_str(expected).unwrap();
    assert_eq!(came["steps"][1]["readings"][0]["value"], 61.5, "{came:#}");
    assert_eq!(came["steps"][2]["did"][0]["words"], serde_json::json!([625]), "{came:#}");
    assert_eq!(came["steps"][3]["readings"][0]["value"], 62.5, "{came:#}");
}
