//! Serves a whole world until interrupted, with an incident if one is named.
//!
//! ```sh
//! cargo run -p tokenpath-sim --example world -- queue-storm
//! ```

use std::error::Error;

use tokenpath_sim::{Incident, Part, World, WorldConfig, WorldServer};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut world = World::new(WorldConfig::default())?;
    world.advance(60.0);
    if let Some(name) = std::env::args().nth(1) {
        let incident = Incident::find(&name).ok_or_else(|| {
            let known = Incident::ALL.map(|i| format!("  {:22}{}", i.name(), i.description()));
            format!("no incident {name}; there are\n{}", known.join("\n"))
        })?;
        world.incident(incident);
    }
    let names: Vec<String> = world
        .servers()
        .iter()
        .map(|s| s.name().to_owned())
        .collect();
    let running = WorldServer::new(world).bind().await?;
    for (part, address) in running.addresses() {
        let name = match part {
            Part::Server(index) => names[index].as_str(),
            Part::Limitador => "limitador",
            Part::Gateway => "gateway",
        };
        println!("{name:18}http://{address}/metrics");
    }
    std::future::pending::<()>().await;
    Ok(())
}
