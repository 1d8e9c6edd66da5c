//! Processes, and the devices that list them.

use crate::common::{Rig, of, options};
use tokenpath_core::Snapshot;

#[test]
fn processes_have_a_name_a_container_and_a_bound() {
    let id = "ab".repeat(32);
    let mut options = options();
    options.processes_max = 2;
    let rig = Rig::with(&[], "", options);
    let proc = rig.folder.path().join("proc");
    std::fs::create_dir_all(proc.join("41")).unwrap();
    std::fs::write(proc.join("41/comm"), "VLLM::Worker_TP\n").unwrap();
    let cgroup = format!("0::/kubepods.slice/cri-containerd-{id}.scope\n");
    std::fs::write(proc.join("41/cgroup"), cgroup).unwrap();
    rig.fake.control(
        "process 0 41 9000 compute\nprocess 0 42 8000 compute\nprocess 0 43 10 compute\n\
         process 0 42 70 graphics\nprocess 0 44 18446744073709551615 compute\n",
    );
    let page = rig.page("processes are listed", |page| {
        of(page, 0, "gpu_processes", &[]) == Some(4.0)
    });
    let vllm = [
        ("pid", "41"),
        ("process_name", "VLLM::Worker_TP"),
        ("container_id", id.as_str()),
        ("kind", "compute"),
    ];
    assert_eq!(of(&page, 0, "gpu_process_vram_bytes", &vllm), Some(9000.0));
    // No entry in /proc: the driver knows its name.
    let other = [
        ("pid", "42"),
        ("process_name", "engine-42"),
        ("kind", "compute"),
    ];
    assert_eq!(of(&page, 0, "gpu_process_vram_bytes", &other), Some(8000.0));
    assert_eq!(of(&page, 0, "gpu_processes_omitted", &[]), Some(2.0));
    let series = page.shape().family("gpu_process_vram_bytes").unwrap();
    assert_eq!(series.series().len(), 2);
}

#[test]
fn the_odd_list_of_processes_of_driver_535_is_not_asked_for() {
    // 535.54.03, and more processes than a list of narrower structures has room for.
    let mut control = String::from("text nvmlSystemGetDriverVersion 0 3533352e35342e3033\n");
    for pid in 1..=40_u64 {
        control += &format!("process 0 {pid} {} compute\n", pid * 1024);
    }
    let rig = Rig::new(&control);
    let page = rig.page("processes are listed", |page| {
        of(page, 0, "gpu_processes", &[]) == Some(40.0)
    });
    for pid in [9_u32, 40] {
        let (pid, bytes) = (pid.to_string(), f64::from(pid) * 1024.0);
        let name = format!("engine-{pid}");
        let labels = [
            ("pid", pid.as_str()),
            ("process_name", name.as_str()),
            ("kind", "compute"),
        ];
        assert_eq!(of(&page, 0, "gpu_process_vram_bytes", &labels), Some(bytes));
    }
}

#[test]
fn without_privileges_processes_are_listed_by_the_mig_devices() {
    let control = "mig 0 9 4 9\nprocess 0 7 4096 compute 9\nprocess 0 8 1024 compute 4\n";
    let expected = |page: &Snapshot| {
        for (pid, name, mig, bytes) in [
            ("7", "engine-7", "9", 4096.0),
            ("8", "engine-8", "4", 1024.0),
        ] {
            let labels = [
                ("mig", mig),
                ("pid", pid),
                ("process_name", name),
                ("kind", "compute"),
            ];
            assert_eq!(of(page, 0, "gpu_process_vram_bytes", &labels), Some(bytes));
        }
        assert!(page.shape().family("gpu_read_errors_total").is_none());
    };
    let rig = Rig::new(control);
    expected(&rig.page("processes", |page| {
        of(page, 0, "gpu_processes", &[]) == Some(2.0)
    }));
    let rig = Rig::new(&format!("{control}unprivileged\n"));
    expected(&rig.page("processes", |page| {
        of(page, 0, "gpu_processes", &[]) == Some(2.0)
    }));
    // None of its MIG devices is ours: how many processes there are is not known.
    let rig = Rig::new("mig 0\nunprivileged\n");
    let page = rig.page("a page is there", |_| true);
    assert_eq!(of(&page, 0, "gpu_processes", &[]), None);
    let refused = [("error", "no_permission")];
    assert!(of(&page, 0, "gpu_read_errors_total", &refused) >= Some(1.0));
}
