// Shows every <time datetime> of the page in the reader's own time zone and language.

const format = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

export function showLocalTime(element) {
  const moment = new Date(element.getAttribute("datetime"));
  if (Number.isNaN(moment.getTime())) return;
  element.textContent = format.format(moment);
  element.title = moment.toISOString();
}

for (const element of document.querySelectorAll("time[datetime]")) showLocalTime(element);
