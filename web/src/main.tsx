import "./look/page.css";
import { render } from "preact";
import { useEffect, useState } from "preact/hooks";
import { readRoute } from "./router";
import { App } from "./views/app";
import { type Language, preferred, speak } from "./words";

function Root({ first }: { first: Language }) {
  const [hash, setHash] = useState(location.hash);
  const [spoken, setSpoken] = useState(first);
  useEffect(() => {
    const changed = () => setHash(location.hash);
    window.addEventListener("hashchange", changed);
    return () => window.removeEventListener("hashchange", changed);
  }, []);
  const choose = (next: Language) => void speak(next).then(() => setSpoken(next));
  return <App key={spoken} route={readRoute(hash)} choose={choose} />;
}

const language = preferred();
// Words that cannot be loaded leave the English ones.
await speak(language).catch(() => speak("en"));
const place = document.getElementById("page");
if (place) render(<Root first={language} />, place);
